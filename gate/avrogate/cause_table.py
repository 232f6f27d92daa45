"""
The messages and remedies of causes.

They are more precise than those of codes. Part of `explanation_table`.
"""

from collections.abc import Mapping
from typing import Final

from avrogate.explanation_table import NO_CONTAINER, Explanation
from avrogate.results import Cause

CAUSES: Final[Mapping[Cause, Explanation]] = {
    Cause.EMPTY_FILE: Explanation(
        "The file is empty.",
        "Close the writer before the file is sent: even a file without records has a header.",
    ),
    Cause.TEXT: Explanation(
        f"The file is text, {NO_CONTAINER}.",
        "Send the Avro file itself, not its name, its Base64 or an error page.",
    ),
    Cause.JSON: Explanation(
        f"The file is JSON, {NO_CONTAINER}.",
        "Convert it, for example with `avro-tools fromjson --schema-file SCHEMA FILE`.",
    ),
    Cause.CSV: Explanation(
        f"The file is CSV, {NO_CONTAINER}.",
        "Read it with a CSV library, and write its rows with an Avro library.",
    ),
    Cause.PARQUET: Explanation(
        f"The file is Parquet, {NO_CONTAINER}.",
        "Export as Avro, or convert it, for example with `polars.write_avro`.",
    ),
    Cause.ORC: Explanation(f"The file is ORC, {NO_CONTAINER}.", "Export as Avro instead of ORC."),
    Cause.ZIP: Explanation(
        f"The file is a ZIP archive, {NO_CONTAINER}.", "Unpack it, and send each Avro file."
    ),
    Cause.GZIP: Explanation(
        f"The file is compressed with gzip, {NO_CONTAINER}.",
        "Send it uncompressed; to save space, write it with an Avro codec"
        " such as deflate or zstandard.",
    ),
    Cause.CONFLUENT_FRAMING: Explanation(
        "The file looks like one message of a Confluent schema registry"
        " (a zero byte and a schema id), "
        f"{NO_CONTAINER}.",
        "Read the messages with their schema, and write them into an object container file.",
    ),
    Cause.SINGLE_OBJECT_ENCODING: Explanation(
        f"The file is one datum in Avro's single-object encoding (0xC3 0x01), {NO_CONTAINER}.",
        "Write an object container file: `DataFileWriter` instead of `BinaryMessageEncoder`.",
    ),
    Cause.RAW_DATUM: Explanation(
        f"The file is binary data without the header of a known format, {NO_CONTAINER}. "
        "A bare Avro datum without schema looks like this.",
        "Write an object container file: `fastavro.writer` instead of `schemaless_writer`, "
        "`DataFileWriter` instead of `DatumWriter` alone.",
    ),
    Cause.PROTOBUF: Explanation(
        f"The file looks like a Protocol Buffers message, {NO_CONTAINER}.",
        "Read it with its message type, and write the values with an Avro library.",
    ),
    Cause.EMPTY_RECORD_NAME: Explanation(
        "The outermost record has an empty name; polars writes one unless it is given a name.",
        'Name the record, in polars with `write_avro(name="…")`.',
    ),
}
