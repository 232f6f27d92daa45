"""Reads the files of allowed schemas: `*.avsc` in a folder and its subfolders."""

from pathlib import Path


def schema_files(folder: Path) -> dict[str, bytes]:
    """
    Return the contents by path in *folder*, sorted. Hidden folders are skipped.

    A mounted ConfigMap has each file twice, once in a hidden folder (`..data`).

    Raises:
        OSError: the folder or a file cannot be read.
    """
    paths = ((path.relative_to(folder), path) for path in sorted(folder.rglob("*.avsc")))
    return {
        relative.as_posix(): path.read_bytes()
        for relative, path in paths
        if not any(part.startswith(".") for part in relative.parts)
    }
