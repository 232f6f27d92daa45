"""Reads the allowed schemas of an installation, for the workers of the gate."""

from pathlib import Path

from avrogate import Policy, parse_schema_set
from healthingest_contract.schema_folder import schema_files


def listed_schemas(folder: Path | None) -> dict[str, str]:
    """
    Return the texts of the schemas by their paths in *folder*; they may refer to each other.

    Raises:
        ValueError: the folder is missing, a file is no Avro schema, or a type is missing; the
            message names file and type.
    """
    if folder is None or not folder.is_dir():
        message = "the folder of allowed schemas is missing"
        raise ValueError(message)
    files = schema_files(folder)
    parse_schema_set(files, Policy())
    return {name: content.decode() for name, content in files.items()}
