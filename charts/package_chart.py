"""
Packs the chart as `helm package` does, with the same bytes for the same files: `make chart`.

It needs neither Helm nor a registry. Times, owners and the order of the files are fixed.
"""

import argparse
import fnmatch
import gzip
import io
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import yaml

CHART: Final = Path(__file__).resolve().parent / "healthingest-operator"
TIME: Final = 315_532_800
"""1980-01-01 in seconds, the time of all files: the earliest that every archiver can show."""


def members(chart: Path) -> Iterator[Path]:
    """Yield the files of the chart, relative to it, without those that .helmignore names."""
    ignored = [
        line.strip()
        for line in (chart / ".helmignore").read_text(encoding="utf-8").splitlines()
        if line.strip() and not line.startswith("#")
    ]
    for path in sorted(chart.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(chart).parts)
        matches = any(fnmatch.fnmatch(path.name, pattern) for pattern in ignored)
        if path.is_file() and not matches and (not hidden or path.name == ".helmignore"):
            yield path.relative_to(chart)


def package(chart: Path) -> tuple[str, bytes]:
    """
    Return the file name and the bytes of the package.

    Raises:
        ValueError: the versions of the chart and of the operator differ.
    """
    about = yaml.safe_load((chart / "Chart.yaml").read_text(encoding="utf-8"))
    if about["version"] != about["appVersion"]:
        message = f"{chart / 'Chart.yaml'}: version and appVersion differ; set both to one value"
        raise ValueError(message)
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in members(chart):
            content = (chart / path).read_bytes()
            entry = tarfile.TarInfo(f"{about['name']}/{path.as_posix()}")
            entry.size = len(content)
            entry.mode = 0o644
            entry.mtime = TIME
            archive.addfile(entry, io.BytesIO(content))
    name = f"{about['name']}-{about['version']}.tgz"
    return name, gzip.compress(plain.getvalue(), compresslevel=9, mtime=TIME)


def main() -> int:
    """Write the package into a folder, and print its path."""
    parser = argparse.ArgumentParser(description="Pack the Helm chart reproducibly.")
    parser.add_argument("--destination", type=Path, default=Path("dist"))
    folder: Path = parser.parse_args().destination
    folder.mkdir(parents=True, exist_ok=True)
    name, content = package(CHART)
    (folder / name).write_bytes(content)
    sys.stdout.write(f"{folder / name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
