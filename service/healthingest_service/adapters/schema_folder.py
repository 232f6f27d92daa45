"""The schemas that an installation lists, as the gate's workers are given them."""

from pathlib import Path

from avrogate import Policy, parse_schema_set
from healthingest_contract.schema_folder import schema_files


def listed_schemas(folder: Path | None) -> dict[str, str]:
    """
    Their texts by the file's path in *folder*. They may refer to each other, in any order.

    Raises:
        ValueError: the folder is missing, a file in it is no Avro schema, or a type is missing; the
            message names both.
    """
    if folder is None or not folder.is_dir():
        message = "the folder of allowed schemas is missing"
        raise ValueError(message)
    files = schema_files(folder)
    parse_schema_set(files, Policy())
    return {name: content.decode() for name, content in files.items()}
