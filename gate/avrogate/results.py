"""
The results of a validation: the content of a valid file, or findings.

`Code` is the complete list of codes; `explanations` explains each.
"""

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """Why a file is refused. Clients depend on the codes, so a code is never renamed."""

    # header
    MAGIC_WRONG = "magic_wrong"
    HEADER_CUT_OFF = "header_cut_off"
    HEADER_TOO_LARGE = "header_too_large"
    METADATA_INVALID = "metadata_invalid"
    METADATA_DUPLICATE = "metadata_duplicate"
    METADATA_TOO_MANY = "metadata_too_many"
    SCHEMA_MISSING = "schema_missing"
    CODEC_UNSUPPORTED = "codec_unsupported"
    # schema
    SCHEMA_TOO_LARGE = "schema_too_large"
    SCHEMA_NOT_JSON = "schema_not_json"
    SCHEMA_DUPLICATE_KEY = "schema_duplicate_key"
    SCHEMA_TOO_DEEP = "schema_too_deep"
    SCHEMA_TOO_MANY_NODES = "schema_too_many_nodes"
    SCHEMA_TYPE_UNKNOWN = "schema_type_unknown"
    SCHEMA_ATTRIBUTE_MISSING = "schema_attribute_missing"
    SCHEMA_ATTRIBUTE_INVALID = "schema_attribute_invalid"
    SCHEMA_NAME_INVALID = "schema_name_invalid"
    SCHEMA_NAME_TOO_LONG = "schema_name_too_long"
    SCHEMA_NAME_REDEFINED = "schema_name_redefined"
    SCHEMA_FIELD_DUPLICATE = "schema_field_duplicate"
    SCHEMA_SYMBOL_DUPLICATE = "schema_symbol_duplicate"
    SCHEMA_UNION_INVALID = "schema_union_invalid"
    SCHEMA_DEFAULT_INVALID = "schema_default_invalid"
    SCHEMA_PRECISION_TOO_LARGE = "schema_precision_too_large"
    SCHEMA_ENDLESS = "schema_endless"
    SCHEMA_ZERO_WIDTH_ITEMS = "schema_zero_width_items"
    SCHEMA_EXPANSION = "schema_expansion"
    # policy about the schema
    SCHEMA_NOT_A_RECORD = "schema_not_a_record"
    RECORD_TYPE_NOT_ALLOWED = "record_type_not_allowed"
    SCHEMA_NOT_ALLOWED = "schema_not_allowed"
    READER_NAME_DIFFERS = "reader_name_differs"
    READER_TYPE_DIFFERS = "reader_type_differs"
    READER_SIZE_DIFFERS = "reader_size_differs"
    READER_FIELD_WITHOUT_DEFAULT = "reader_field_without_default"
    READER_SYMBOL_MISSING = "reader_symbol_missing"
    READER_BRANCH_MISSING = "reader_branch_missing"
    # blocks
    BLOCK_CUT_OFF = "block_cut_off"
    TOO_MANY_BLOCKS = "too_many_blocks"
    BLOCK_COUNT_WRONG = "block_count_wrong"
    BLOCK_SIZE_WRONG = "block_size_wrong"
    BLOCK_TOO_LARGE = "block_too_large"
    BLOCK_INFLATES_TOO_LARGE = "block_inflates_too_large"
    SYNC_WRONG = "sync_wrong"
    FILE_INFLATES_TOO_LARGE = "file_inflates_too_large"
    TOO_MANY_RECORDS = "too_many_records"
    TOO_MANY_EMPTY_RECORDS = "too_many_empty_records"
    # codecs
    COMPRESSED_INVALID = "compressed_invalid"
    COMPRESSED_CUT_OFF = "compressed_cut_off"
    COMPRESSED_LEFT_OVER = "compressed_left_over"
    COMPRESSED_WINDOW_TOO_LARGE = "compressed_window_too_large"
    COMPRESSED_TOO_MANY_STREAMS = "compressed_too_many_streams"
    CHECKSUM_WRONG = "checksum_wrong"
    # records: the rest of the block cannot be trusted
    DATA_CUT_OFF = "data_cut_off"
    DATA_LEFT_OVER = "data_left_over"
    VARINT_TOO_LONG = "varint_too_long"
    LENGTH_NEGATIVE = "length_negative"
    LENGTH_BEYOND_BLOCK = "length_beyond_block"
    UNION_INDEX = "union_index"
    ITEM_COUNT_WRONG = "item_count_wrong"
    ITEMS_SIZE_WRONG = "items_size_wrong"
    DATUM_TOO_DEEP = "datum_too_deep"
    TOO_MANY_STEPS = "too_many_steps"
    # records: the value is wrong, what follows can be read
    VARINT_OVERLONG = "varint_overlong"
    INT_RANGE = "int_range"
    BOOLEAN_INVALID = "boolean_invalid"
    ENUM_INDEX = "enum_index"
    UTF8_INVALID = "utf8_invalid"
    DECIMAL_EMPTY = "decimal_empty"
    DECIMAL_PRECISION = "decimal_precision"
    UUID_INVALID = "uuid_invalid"
    TIME_RANGE = "time_range"
    CALENDAR_RANGE = "calendar_range"


class Cause(StrEnum):
    """
    A more precise reason than the code, if it is recognised.

    Most causes say what a file is that is not an Avro container.
    """

    EMPTY_FILE = "empty_file"
    TEXT = "text"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"
    ORC = "orc"
    ZIP = "zip"
    GZIP = "gzip"
    CONFLUENT_FRAMING = "confluent_framing"
    SINGLE_OBJECT_ENCODING = "single_object_encoding"
    RAW_DATUM = "raw_datum"
    PROTOBUF = "protobuf"
    EMPTY_RECORD_NAME = "empty_record_name"


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One reason to refuse a file: a stable code and a place. It never contains a value of the file.

    `block` and `record` count from 0. `offset` is in bytes of the file; inside a compressed block
    it is where the block begins. `path` names fields of the schema, joined by dots; items of arrays
    and values of maps add nothing. `pointer` is a JSON pointer (RFC 6901) into the schema, made of
    attributes of the specification and of indices; `nearest_name` the valid name of the schema that
    is nearest to it. `limit` is the policy's limit that was exceeded. `explanations.explain` gives
    the message and the remedy.
    """

    code: Code
    block: int | None = None
    record: int | None = None
    offset: int | None = None
    path: str | None = None
    pointer: str | None = None
    nearest_name: str | None = None
    cause: Cause | None = None
    limit: int | None = None


class RefusedError(Exception):
    """The file is invalid. `findings` has at least one finding, in the order of the file."""

    def __init__(self, *findings: Finding) -> None:
        super().__init__(", ".join(finding.code for finding in findings))
        self.findings = findings


@dataclass(frozen=True, slots=True)
class ValidationResult:
    """
    The content of a valid file.

    `schema_name` is the full name, `record_type` the short one; both are empty if the schema is
    not a named type, which the policy can allow. `schema_fingerprint` is the SHA-256 of the parsing
    canonical form, in hexadecimal.
    """

    record_type: str
    schema_name: str
    schema_fingerprint: str
    codec: str
    block_count: int
    record_count: int


@dataclass(frozen=True, slots=True)
class Work:
    """
    The cost of validating a file so far; it is the same on every machine.

    `fed_bytes` were received, and `inflated_bytes` in `blocks` were validated. `steps` were spent
    of the budget.
    """

    fed_bytes: int = 0
    inflated_bytes: int = 0
    blocks: int = 0
    steps: int = 0
