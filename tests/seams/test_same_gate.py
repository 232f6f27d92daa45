"""The client's offline check and the service's gate give the same result for the same file."""

from collections.abc import AsyncIterator
from dataclasses import asdict

import pytest

from avrogate import Policy
from healthingest_client.validation import RECORD_TYPE_INVALID, Report, validate_file
from healthingest_service.adapters.avro_validation.pool import GatePool, open_gate
from healthingest_service.uploads.errors import FileRefusedError, NotAvroError
from healthingest_service.uploads.findings import FindingCode
from support.samples import good_file, hostile_files

FILES = hostile_files() | {
    "a good one": good_file(500),
    "no avro": b"PK\x03\x04",
    "nothing": b"",
    "JSON": b'{"a": 1}',
}


@pytest.fixture(name="gate")
async def _gate() -> AsyncIterator[GatePool]:
    async with open_gate(
        workers=1,
        memory_limit_bytes=512 << 20,
        stall_seconds=10,
        schemas_mode="Any",
        schemas_folder=None,
    ) as gate:
        yield gate


async def _server_says(gate: GatePool, content: bytes) -> tuple[object, ...]:
    try:
        async with gate.open() as check:
            await check.feed(content)
            result = await check.finish()
    except FileRefusedError as refused:
        return tuple(asdict(finding) for finding in refused.findings)
    except NotAvroError as refused:
        return ("not avro", *(asdict(finding) for finding in refused.findings))
    return (result.record_type, result.record_count, result.schema_fingerprint)


def _as_the_server(report: Report) -> tuple[object, ...]:
    if report.valid:
        return (report.record_type, report.record_count, report.schema_fingerprint)
    if report.findings[0]["code"] == "magic_wrong":
        return ("not avro", *report.findings)
    return report.findings


@pytest.mark.parametrize("name", FILES)
async def test_client_and_server_agree(gate: GatePool, name: str) -> None:
    """They return the same ValidationResult, or the same findings with all members."""
    content = FILES[name]
    assert await _server_says(gate, content) == _as_the_server(
        validate_file(name, iter([content]), Policy())
    )


def test_the_one_code_that_is_no_engines() -> None:
    """Both refuse a record name that does not fit into an object key, with the same code."""
    assert FindingCode.RECORD_TYPE_INVALID.value == RECORD_TYPE_INVALID
