"""The schemas that an installation lists: `*.avsc` in a folder."""

from pathlib import Path

from avrogate import Policy, RefusedError, parse_schema


def listed_schemas(folder: Path | None) -> list[str]:
    """
    Their texts, by name of the file.

    Raises:
        ValueError: the folder is missing, or a file in it is no Avro schema.
    """
    if folder is None or not folder.is_dir():
        message = "the folder of allowed schemas is missing"
        raise ValueError(message)
    return [_schema(path) for path in sorted(folder.glob("*.avsc"))]


def _schema(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    try:
        parse_schema(text.encode(), Policy())
    except RefusedError as error:
        message = f"{path.name} is no Avro schema: {error}"
        raise ValueError(message) from None
    return text
