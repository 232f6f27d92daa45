"""
The message and remedy of each code; `cause_table` has those of causes.

`docs/reference/avro-gate.md` shows the same table; a test compares them. No message contains text
or values of the file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from avrogate.results import Code

LIMIT: Final = "{limit}"
"""The placeholder for the policy's limit in a message."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """
    The message and the remedy of a code.

    `limit` is the attribute of `Policy` that was exceeded.
    """

    message: str
    remedy: str
    limit: str | None = None


NO_CONTAINER: Final = "not an Avro object container file"
_WRITE_AGAIN: Final = "Write the file again with an Avro library and close the writer."
_DAMAGED: Final = (
    "The file was damaged or written by a faulty writer: write it again with an Avro library."
)
_SPECIFIED: Final = (
    "Correct the schema as the Avro specification 1.12 describes it, and write the file again."
)
_NAME_RULE: Final = (
    "Use ASCII letters, digits and underscores, no digit first;"
    " a namespace is such names joined by dots."
)
_SPLIT: Final = "Split the data into several files"
_ALLOWED: Final = (
    "Use a schema that is allowed here, or ask the operator of the service to allow this one."
)
_VALUE: Final = (
    "Correct the value in the source data, or the type in the schema, and write the file again."
)


def _raised(remedy: str, limit: str) -> str:
    return f"{remedy}, or ask the operator of the service to raise the limit `{limit}`."


def _limited(message: str, remedy: str, limit: str) -> Explanation:
    return Explanation(message, _raised(remedy, limit), limit)


_HEADER: Final[Mapping[Code, Explanation]] = {
    Code.MAGIC_WRONG: Explanation(
        f"The file is {NO_CONTAINER}: it does not begin with the four bytes `Obj` 0x01.",
        "Write an object container file, for example with `fastavro.writer`"
        " or Java's `DataFileWriter`.",
    ),
    Code.HEADER_CUT_OFF: Explanation("The file ends within its header.", _WRITE_AGAIN),
    Code.HEADER_TOO_LARGE: _limited(
        "The header is larger than {limit}.",
        "Put less metadata into the header",
        "max_header_bytes",
    ),
    Code.METADATA_INVALID: Explanation(
        "The header's metadata is malformed: a negative length, a key that is not UTF-8,"
        " or a false size.",
        _DAMAGED,
    ),
    Code.METADATA_DUPLICATE: Explanation(
        "The header's metadata has a key twice, and readers differ about which one counts.",
        "Write each metadata key once.",
    ),
    Code.METADATA_TOO_MANY: _limited(
        "The header has more than {limit} metadata entries.",
        "Write fewer entries",
        "max_metadata_entries",
    ),
    Code.SCHEMA_MISSING: Explanation(
        "The header has no `avro.schema`.",
        "Write the file with an Avro library: it adds the schema.",
    ),
    Code.CODEC_UNSUPPORTED: Explanation(
        "The codec in `avro.codec` is not supported.",
        "Write the file with the codec null, deflate, snappy, zstandard, bzip2 or xz.",
    ),
}

_SCHEMA: Final[Mapping[Code, Explanation]] = {
    Code.SCHEMA_TOO_LARGE: _limited(
        "The text of the schema is larger than {limit}.",
        "Shorten the schema, for example its `doc`",
        "max_schema_bytes",
    ),
    Code.SCHEMA_NOT_JSON: Explanation(
        "The schema is not JSON in UTF-8 as RFC 8259 defines it.",
        "Remove comments, byte order marks and NaN from the schema, and write the file again.",
    ),
    Code.SCHEMA_DUPLICATE_KEY: Explanation(
        "A JSON object in the schema has a key twice.",
        "Keep one of the two keys, and write the file again.",
    ),
    Code.SCHEMA_TOO_DEEP: _limited(
        "Types in the schema are nested more than {limit} deep.",
        "Flatten the schema",
        "max_schema_depth",
    ),
    Code.SCHEMA_TOO_MANY_NODES: _limited(
        "The schema has more than {limit} types.",
        "Split the schema into several record types",
        "max_schema_nodes",
    ),
    Code.SCHEMA_TYPE_UNKNOWN: Explanation(
        "The schema refers to a type that does not exist, or that is defined only later.",
        "Define the type where it is first used, or correct its name and namespace.",
    ),
    Code.SCHEMA_ATTRIBUTE_MISSING: Explanation(
        "A required attribute is missing:"
        " `name`, `type`, `fields`, `items`, `values`, `symbols` or `size`.",
        _SPECIFIED,
    ),
    Code.SCHEMA_ATTRIBUTE_INVALID: Explanation(
        "An attribute has the wrong form, or is `__named_schemas`,"
        " which fastavro trusts without checking it. "
        "`order` is one of ascending, descending and ignore.",
        _SPECIFIED,
    ),
    Code.SCHEMA_NAME_INVALID: Explanation(
        "A name, namespace or symbol breaks the name rules,"
        " or a type has the name of a primitive type.",
        _NAME_RULE,
    ),
    Code.SCHEMA_NAME_TOO_LONG: _limited(
        "A name has more than {limit} characters.", "Shorten the name", "max_name_characters"
    ),
    Code.SCHEMA_NAME_REDEFINED: Explanation(
        "A type is defined twice.",
        "Define the type once, and refer to it by its name everywhere else.",
    ),
    Code.SCHEMA_FIELD_DUPLICATE: Explanation(
        "A record has two fields of the same name.", "Rename or remove one of the two fields."
    ),
    Code.SCHEMA_SYMBOL_DUPLICATE: Explanation(
        "An enum has the same symbol twice.", "Remove one of the two symbols."
    ),
    Code.SCHEMA_UNION_INVALID: Explanation(
        "A union is empty, contains another union, or has two branches that cannot be told apart.",
        _SPECIFIED,
    ),
    Code.SCHEMA_DEFAULT_INVALID: Explanation(
        "A default is not a value of its type.",
        "Give the default a value of the type, or remove it.",
    ),
    Code.SCHEMA_PRECISION_TOO_LARGE: _limited(
        "A decimal has more than {limit} digits, or is a fixed of more than 8 KiB.",
        "Use a smaller precision or a smaller fixed",
        "max_decimal_precision",
    ),
    Code.SCHEMA_ENDLESS: Explanation(
        "A record must contain itself, so no value of it can exist.",
        "Put the record's reference to itself into a union with null, an array or a map.",
    ),
    Code.SCHEMA_ZERO_WIDTH_ITEMS: Explanation(
        "The items of an array take no bytes, so a few bytes could claim 2^62 items.",
        "Give the items a field, or store their number as a long.",
    ),
    Code.SCHEMA_EXPANSION: _limited(
        "One value of the schema would be larger than a block, or visit more than {limit} types.",
        "Flatten the schema",
        "max_expansion",
    ),
}

_PERMISSION: Final[Mapping[Code, Explanation]] = {
    Code.SCHEMA_NOT_A_RECORD: Explanation(
        "The outermost type of the schema is not a record.",
        "Put the values into a field of a record.",
    ),
    Code.RECORD_TYPE_NOT_ALLOWED: Explanation("The record type is not allowed here.", _ALLOWED),
    Code.SCHEMA_NOT_ALLOWED: Explanation(
        "The schema is not allowed here, and no allowed schema can read it.", _ALLOWED
    ),
    Code.READER_NAME_DIFFERS: Explanation(
        "The type has another name than in the allowed schema, and no alias connects them.",
        "Use the allowed schema's name, or add an alias to the allowed schema.",
    ),
    Code.READER_TYPE_DIFFERS: Explanation(
        "The type differs from that of the allowed schema, and cannot be promoted to it.",
        "Use the type of the allowed schema.",
    ),
    Code.READER_SIZE_DIFFERS: Explanation(
        "The fixed type has another size than in the allowed schema.",
        "Use the size of the allowed schema.",
    ),
    Code.READER_FIELD_WITHOUT_DEFAULT: Explanation(
        "The allowed schema has a field without default that the file does not have.",
        "Write the field, or give it a default in the allowed schema.",
    ),
    Code.READER_SYMBOL_MISSING: Explanation(
        "The enum has a symbol that the allowed schema does not know,"
        " and the allowed enum has no default.",
        "Remove the symbol, or add it or a default to the allowed schema.",
    ),
    Code.READER_BRANCH_MISSING: Explanation(
        "No branch of the allowed schema's union can take the type.",
        "Add the type to the allowed schema's union.",
    ),
}

_BLOCKS: Final[Mapping[Code, Explanation]] = {
    Code.BLOCK_CUT_OFF: Explanation("The file ends within a block.", _WRITE_AGAIN),
    Code.TOO_MANY_BLOCKS: _limited(
        "The file has more than {limit} blocks.",
        "Write more records into a block: do not flush after each",
        "max_blocks",
    ),
    Code.BLOCK_COUNT_WRONG: Explanation(
        "A block's record count is negative, or more than its bytes can hold.", _DAMAGED
    ),
    Code.BLOCK_SIZE_WRONG: Explanation("A block's size is negative.", _DAMAGED),
    Code.BLOCK_TOO_LARGE: _limited(
        "A block is larger than {limit} as written.",
        "Write smaller blocks (the writer's sync interval)",
        "max_block_bytes",
    ),
    Code.BLOCK_INFLATES_TOO_LARGE: _limited(
        "A block is larger than {limit} once it is inflated.",
        "Write smaller blocks (the writer's sync interval)",
        "max_inflated_block_bytes",
    ),
    Code.SYNC_WRONG: Explanation(
        "The sync marker after a block is not that of the header.", _DAMAGED
    ),
    Code.FILE_INFLATES_TOO_LARGE: _limited(
        "The file inflates to more than {limit} and its share for each byte as written.",
        _SPLIT,
        "max_inflated_bytes",
    ),
    Code.TOO_MANY_RECORDS: _limited(
        "The file has more than {limit} records.", _SPLIT, "max_records"
    ),
    Code.TOO_MANY_EMPTY_RECORDS: _limited(
        "The file has more than {limit} records that take no bytes.",
        "Give the record a field",
        "max_empty_records",
    ),
}

_CODECS: Final[Mapping[Code, Explanation]] = {
    Code.COMPRESSED_INVALID: Explanation(
        "The compressed data of a block is not valid for the file's codec.", _DAMAGED
    ),
    Code.COMPRESSED_CUT_OFF: Explanation(
        "The compressed data of a block ends too early.", _DAMAGED
    ),
    Code.COMPRESSED_LEFT_OVER: Explanation(
        "Bytes follow the compressed data of a block.", _DAMAGED
    ),
    Code.COMPRESSED_WINDOW_TOO_LARGE: Explanation(
        "Reading a block needs a larger compression window than allowed.",
        "Compress with a lower level, or without long-distance matching.",
    ),
    Code.COMPRESSED_TOO_MANY_STREAMS: Explanation(
        "A block has more than 256 compressed streams or frames.",
        "Compress each block as one stream.",
    ),
    Code.CHECKSUM_WRONG: Explanation(
        "The snappy checksum of a block does not match its data.", _DAMAGED
    ),
}

_RECORDS: Final[Mapping[Code, Explanation]] = {
    Code.DATA_CUT_OFF: Explanation("A block ends within a record.", _DAMAGED),
    Code.DATA_LEFT_OVER: Explanation("Bytes follow the last record of a block.", _DAMAGED),
    Code.VARINT_TOO_LONG: Explanation("A number has more than 64 bits.", _DAMAGED),
    Code.LENGTH_NEGATIVE: Explanation("A length is negative.", _DAMAGED),
    Code.LENGTH_BEYOND_BLOCK: Explanation("A length reaches beyond its block.", _DAMAGED),
    Code.UNION_INDEX: Explanation("A union's index names no branch.", _DAMAGED),
    Code.ITEM_COUNT_WRONG: Explanation(
        "An array or map claims more items than the bytes can hold.", _DAMAGED
    ),
    Code.ITEMS_SIZE_WRONG: Explanation(
        "The byte size that an array or map declares is false.", _DAMAGED
    ),
    Code.DATUM_TOO_DEEP: _limited(
        "Records are nested more than {limit} deep, or a record must contain itself.",
        "Flatten the data",
        "max_datum_depth",
    ),
    Code.TOO_MANY_STEPS: _limited(
        "Checking the file takes more than {limit} steps and its share for each byte as written.",
        _SPLIT,
        "max_steps",
    ),
}

_VALUES: Final[Mapping[Code, Explanation]] = {
    Code.VARINT_OVERLONG: Explanation(
        "A number is written with more bytes than it needs.", _DAMAGED
    ),
    Code.INT_RANGE: Explanation("An int has more than 32 bits.", _VALUE),
    Code.BOOLEAN_INVALID: Explanation("A boolean is neither 0 nor 1.", _DAMAGED),
    Code.ENUM_INDEX: Explanation("An enum's index names no symbol.", _DAMAGED),
    Code.UTF8_INVALID: Explanation(
        "A text is not UTF-8 as RFC 3629 defines it.",
        "Encode texts in UTF-8, or use the type bytes.",
    ),
    Code.DECIMAL_EMPTY: Explanation("A decimal has no bytes.", _VALUE),
    Code.DECIMAL_PRECISION: Explanation(
        "A decimal has more digits than its precision, or 4,096 bytes of padding.", _VALUE
    ),
    Code.UUID_INVALID: Explanation("A text is not a UUID of the form 8-4-4-4-12.", _VALUE),
    Code.TIME_RANGE: Explanation("A time of day is negative, or 24 hours or more.", _VALUE),
    Code.CALENDAR_RANGE: Explanation(
        "A date or timestamp is outside of the years 1 to 9999.", _VALUE
    ),
}

SECTIONS: Final[Mapping[str, Mapping[Code, Explanation]]] = {
    "The header": _HEADER,
    "The schema": _SCHEMA,
    "What is allowed here": _PERMISSION,
    "Blocks": _BLOCKS,
    "Codecs": _CODECS,
    "Records, after which nothing can be trusted": _RECORDS,
    "Values, after which the rest is still checked": _VALUES,
}
"""The explanations by heading of the documentation."""

EXPLANATIONS: Final[Mapping[Code, Explanation]] = {
    code: explanation for section in SECTIONS.values() for code, explanation in section.items()
}
