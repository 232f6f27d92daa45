"""
The command `healthingest schemas check`: can schemas be replaced?

Exit status: 0 readers with the new schemas can read data of the old ones, 1 they cannot, 2 a file
cannot be read.
"""

from pathlib import Path
from typing import Final, TextIO

from avrogate import Policy, Schema, SchemaSetError, finding_to_json, obstacle, parse_schema_set
from healthingest_client.errors import ClientError
from healthingest_client.validation import REFUSED, VALID, finding_lines
from healthingest_contract.schema_folder import schema_files

_ONE_FILE: Final = ""


def check(old: Path, new: Path, out: TextIO) -> int:
    """
    Compare two schemas, or the schemas of two folders by their file names; returns the exit status.

    Raises:
        ClientError: a path does not exist, or a file is no schema.
        OSError: a file cannot be read.
    """
    if old.is_file() != new.is_file():
        message = f"{old} and {new}: compare two files, or two folders"
        raise ClientError(message)
    before = _schemas(old)
    after = _schemas(new)
    status = VALID
    for name, writer in before.items():
        lines = _obstacle(writer, after.get(name))
        status = max(status, REFUSED if lines else VALID)
        result = "cannot" if lines else "can"
        out.write(f"{name or new}: new readers {result} read old data\n")
        out.writelines(f"{line}\n" for line in lines)
    return status


def _obstacle(writer: Schema, reader: Schema | None) -> list[str]:
    """Return lines that say why data cannot be read; none if it can."""
    if reader is None:
        return ["  no new schema has this file name", "    Keep the schema, or its file name."]
    found = obstacle(writer, reader)
    return [] if found is None else finding_lines(finding_to_json(found))


def _schemas(path: Path) -> dict[str, Schema]:
    files = {_ONE_FILE: path.read_bytes()} if path.is_file() else schema_files(path)
    if not files:
        message = f"{path}: there is no schema (*.avsc)"
        raise ClientError(message)
    try:
        return parse_schema_set(files, Policy())
    except SchemaSetError as error:
        message = f"{path}: {error}"
        raise ClientError(message) from None
