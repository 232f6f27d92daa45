"""
The command `healthingest validate`: validates files offline, as the service does.

Exit status: 0 all files are valid, 1 a file is refused, 2 a file or folder cannot be read.
"""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, TextIO

from tqdm import tqdm

from avrogate import (
    Gate,
    Policy,
    RefusedError,
    SchemaSetError,
    finding_to_json,
    fingerprint,
    parse_schema_set,
)
from healthingest_client.errors import ClientError
from healthingest_contract.schema_folder import schema_files
from healthingest_contract.topology import RECORD_TYPE_MESSAGE, RECORD_TYPE_REMEDY, is_record_type

VALID = 0
REFUSED = 1
UNREADABLE = 2
STANDARD_INPUT: Final = "-"
RECORD_TYPE_INVALID: Final = "record_type_invalid"
"""
The service's code for a record name that is not valid in object keys.

The Avro gate has no such rule.
"""
_PLACES: Final = ("block", "record", "offset", "path", "pointer", "nearest_name", "cause", "limit")
_CHUNK_BYTES: Final = 1 << 18
_BAR_FROM_BYTES: Final = 64 << 20
"""A progress bar is shown for files of at least this size."""


@dataclass(frozen=True, slots=True)
class Report:
    """The result for one file. If it is refused, the counts end at the error."""

    file: str
    valid: bool
    record_type: str
    schema_fingerprint: str
    codec: str
    blocks: int
    record_count: int
    findings: tuple[dict[str, str | int | None], ...]


def validate_file(name: str, chunks: Iterator[bytes], policy: Policy) -> Report:
    """Validate a file that is read in *chunks*, and return the result."""
    gate = Gate(policy)
    findings: tuple[dict[str, str | int | None], ...] = ()
    try:
        for chunk in chunks:
            gate.feed(chunk)
        result = gate.finish()
    except RefusedError as refused:
        result = gate.so_far()
        findings = tuple(finding_to_json(finding) for finding in refused.findings)
    if not findings and not is_record_type(result.record_type):
        words = {
            "code": RECORD_TYPE_INVALID,
            "message": RECORD_TYPE_MESSAGE,
            "remedy": RECORD_TYPE_REMEDY,
        }
        findings = ({**words, **dict.fromkeys(_PLACES)},)
    return Report(
        file=name,
        valid=not findings,
        record_type=result.record_type,
        schema_fingerprint=result.schema_fingerprint,
        codec=result.codec,
        blocks=result.block_count,
        record_count=result.record_count,
        findings=findings,
    )


def policy_of(folder: Path | None) -> Policy:
    """
    Return the policy of a service that allows the schemas in *folder*, or any schema if it is None.

    Allowed are the schemas of `*.avsc` in *folder* and its subfolders, and schemas that they can
    read. The files may refer to each other.

    Raises:
        ClientError: the folder is missing, a file is no Avro schema, or a type is missing; the
            message names file and type.
    """
    if folder is None:
        return Policy()
    if not folder.is_dir():
        message = f"{folder}: the folder does not exist"
        raise ClientError(message)
    try:
        schemas = tuple(parse_schema_set(schema_files(folder), Policy()).values())
    except SchemaSetError as error:
        message = f"{folder}: {error}"
        raise ClientError(message) from None
    return Policy(
        fingerprints=frozenset(fingerprint(schema) for schema in schemas), readers=schemas
    )


def validate(
    names: Sequence[str], policy: Policy, *, as_json: bool, out: TextIO, errors: TextIO
) -> int:
    """
    Validate the files *names* (`-` is standard input), and print a report for each.

    Returns the exit status.
    """
    tell = _json if as_json else _text
    status = VALID
    for name in names:
        try:
            with _opened(name) as file:
                report = validate_file(name, _chunks(file, name, errors), policy)
        except OSError as error:
            errors.write(f"healthingest: {name}: {error.strerror}\n")
            status = UNREADABLE
            continue
        out.write(tell(report))
        if not report.valid:
            status = max(status, REFUSED)
    return status


@contextlib.contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    if name == STANDARD_INPUT:
        yield sys.stdin.buffer
    else:
        with Path(name).open("rb") as file:
            yield file


def _chunks(file: BinaryIO, name: str, errors: TextIO) -> Iterator[bytes]:
    size = os.fstat(file.fileno()).st_size if name != STANDARD_INPUT else 0
    hidden = size < _BAR_FROM_BYTES or not errors.isatty()
    with tqdm(
        total=size, desc=name, unit="B", unit_scale=True, leave=False, file=errors, disable=hidden
    ) as bar:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
            bar.update(len(chunk))


def _json(report: Report) -> str:
    return json.dumps(asdict(report)) + "\n"


def _text(report: Report) -> str:
    if report.valid:
        counted = f"{report.record_count} {report.record_type} in {report.blocks} blocks"
        return f"{report.file}: valid, {counted}\n"
    lines = [line for finding in report.findings for line in finding_lines(finding)]
    return "\n".join([f"{report.file}: refused", *lines]) + "\n"


def finding_lines(finding: Mapping[str, Any]) -> list[str]:
    """Return the place, message and remedy of a finding of the gate, or of the service."""
    return [f"  {_place(finding)}", f"    {finding['message']}", f"    {finding['remedy']}"]


def _place(finding: Mapping[str, Any]) -> str:
    words: Sequence[tuple[str, Callable[[str | int], str]]] = (
        ("block", lambda value: f"block {value}"),
        ("record", lambda value: f"record {value}"),
        ("offset", lambda value: f"byte {value}"),
        ("path", lambda value: f"field {value}"),
        ("pointer", lambda value: f"schema {value or 'as a whole'}"),
        ("nearest_name", lambda value: f"near {value}"),
    )
    places = [word(value) for key, word in words if (value := finding.get(key)) is not None]
    return f"{finding['code']}{' at ' if places else ''}{', '.join(places)}"
