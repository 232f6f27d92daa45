"""The port `Gate`, on child processes that read with fastavro."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from healthingest_service.adapters.avro_check import ChildProcessGate, open_gate
from healthingest_service.uploads.errors import FileRefusedError, GateUnavailableError, NotAvroError
from healthingest_service.uploads.findings import FindingCode
from healthingest_service.uploads.model import Verdict
from support.samples import READING, block, good_file, hostile_files, long, raw_file, record_of

CPU_SECONDS = 1
SAMPLES = Path(__file__).parents[2] / "examples" / "samples"


def gate_of(**changed: object) -> AbstractAsyncContextManager[ChildProcessGate]:
    """A gate with tight limits."""
    arguments: dict[str, Any] = {
        "memory_limit_bytes": 256 << 20,
        "cpu_limit_seconds": CPU_SECONDS,
        "concurrency": 1,
        "schemas_mode": "Any",
        "schemas_folder": None,
    }
    return open_gate(**(arguments | changed))


@pytest.fixture
async def gate() -> AsyncIterator[ChildProcessGate]:
    """A gate for any schema."""
    async with gate_of() as opened:
        yield opened


async def check(gate: ChildProcessGate, folder: Path, content: bytes) -> Verdict:
    """The verdict on these bytes."""
    path = folder / "file.body"
    path.write_bytes(content)
    return await gate.check(path)


async def refusal(gate: ChildProcessGate, folder: Path, content: bytes) -> str:
    """The code of the first finding."""
    with pytest.raises(FileRefusedError) as refused:
        await check(gate, folder, content)
    return refused.value.findings[0].code


class TestGate:
    @pytest.mark.parametrize("codec", ["null", "deflate", "snappy", "zstandard", "bzip2", "xz"])
    async def test_accepts_a_correct_file(self, gate: ChildProcessGate, tmp_path: Path, codec: str) -> None:
        """In every codec, with the true number of records."""
        verdict = await check(gate, tmp_path, good_file(5000, codec=codec))
        assert (verdict.record_type, verdict.schema_name) == ("HeartRateRecord", "test.records.HeartRateRecord")
        assert (verdict.codec, verdict.record_count) == (codec, 5000)
        assert verdict.block_count > 1

    async def test_accepts_a_file_without_records(self, gate: ChildProcessGate, tmp_path: Path) -> None:
        """A header alone is a correct file."""
        verdict = await check(gate, tmp_path, good_file(0))
        assert (verdict.block_count, verdict.record_count) == (0, 0)

    async def test_an_endless_block_costs_no_time(self, tmp_path: Path) -> None:
        """More records than bytes is refused before the first one is read, however long the reader might work."""
        async with gate_of(cpu_limit_seconds=CPU_SECONDS * 60) as patient, asyncio.timeout(10):
            endless = raw_file({"type": "record", "name": "R", "fields": []}, [block(2**62, b"")])
            assert await refusal(patient, tmp_path, endless) == FindingCode.BLOCK_COUNT_WRONG

    @pytest.mark.parametrize("name", ["BloodGlucoseRecord", "HeartRateRecord", "WearableSample"])
    async def test_accepts_the_samples(self, gate: ChildProcessGate, name: str) -> None:
        """The files that we give to users."""
        assert (await gate.check(SAMPLES / f"{name}.avro")).record_type == name

    async def test_knows_equal_schemas(self, gate: ChildProcessGate, tmp_path: Path) -> None:
        """The fingerprint is that of the canonical form: documentation and defaults do not change it, types do."""
        told = READING | {"doc": "told"}
        other = READING | {"fields": READING["fields"][:2]}
        first = await check(gate, tmp_path, good_file())
        second = await check(gate, tmp_path, good_file(schema=told))
        third = await check(gate, tmp_path, good_file(schema=other))
        assert first.schema_fingerprint == second.schema_fingerprint != third.schema_fingerprint

    @pytest.mark.parametrize("content", [b"", b"Obj", b"Obj\x02rest", b"PK\x03\x04", b'{"type": "record"}'])
    async def test_knows_other_files(self, gate: ChildProcessGate, tmp_path: Path, content: bytes) -> None:
        """Without the magic bytes it is no Avro file."""
        with pytest.raises(NotAvroError):
            await check(gate, tmp_path, content)

    @pytest.mark.parametrize("name", sorted(hostile_files()))
    async def test_refuses_a_hostile_file(self, gate: ChildProcessGate, tmp_path: Path, name: str) -> None:
        """In bounded time, with a code of the closed list; the gate then accepts a good file as before."""
        started = time.monotonic()
        assert await refusal(gate, tmp_path, hostile_files()[name]) in set(FindingCode)
        assert time.monotonic() - started < CPU_SECONDS * 3 + 5
        assert (await check(gate, tmp_path, good_file(7))).record_count == 7

    @pytest.mark.parametrize(
        ("name", "code"),
        [
            ("a record that contains itself", FindingCode.NOT_READABLE),
            ("an endless block of empty records", FindingCode.BLOCK_COUNT_WRONG),
            ("2^62 fixed values of no size in an array", FindingCode.TOO_MUCH_TIME),
            ("a deflate bomb", FindingCode.TOO_MUCH_MEMORY),
            ("cut off in a record", FindingCode.BLOCK_INVALID),
            ("another sync marker", FindingCode.BLOCK_INVALID),
            ("a path as record name", FindingCode.RECORD_TYPE_INVALID),
            ("a count that hides records", FindingCode.BLOCK_COUNT_WRONG),
            ("a count beyond the data", FindingCode.BLOCK_COUNT_WRONG),
            ("text that is not UTF-8", FindingCode.RECORD_INVALID),
            ("an unknown codec", FindingCode.CODEC_UNSUPPORTED),
            ("a schema that is no JSON", FindingCode.SCHEMA_INVALID),
            ("a schema that is an array", FindingCode.SCHEMA_NOT_A_RECORD),
            ("magic alone", FindingCode.HEADER_INVALID),
        ],
    )
    async def test_says_why(self, gate: ChildProcessGate, tmp_path: Path, name: str, code: FindingCode) -> None:
        """The code tells what is wrong."""
        assert await refusal(gate, tmp_path, hostile_files()[name]) == code

    async def test_says_where(self, gate: ChildProcessGate, tmp_path: Path) -> None:
        """Block and record count from 0; nothing of the file's values is told."""
        blocks = [block(2, long(1) * 2), block(2, long(1) + b"\xff" * 11)]
        with pytest.raises(FileRefusedError) as refused:
            await check(gate, tmp_path, raw_file(record_of("int"), blocks))
        (finding,) = refused.value.findings
        assert (finding.code, finding.block, finding.record) == (FindingCode.RECORD_INVALID, 1, 1)

    async def test_takes_turns(self, tmp_path: Path) -> None:
        """More files than slots: all are judged, each by itself."""
        async with gate_of(concurrency=2) as gate:
            paths = []
            for number in range(12):
                paths.append(tmp_path / f"{number}.body")
                paths[-1].write_bytes(good_file(number))
            verdicts = await asyncio.gather(*(gate.check(path) for path in paths))
        assert [verdict.record_count for verdict in verdicts] == list(range(12))

    async def test_confuses_nothing_after_cancellation(self, gate: ChildProcessGate, tmp_path: Path) -> None:
        """An answer that nobody waited for is never taken for the next file's."""
        slow = tmp_path / "slow.body"
        slow.write_bytes(hostile_files()["an endless block of empty records"])
        task = asyncio.ensure_future(gate.check(slow))
        await asyncio.wait([task], timeout=0.3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (await check(gate, tmp_path, good_file(7))).record_count == 7

    async def test_comes_back_when_its_process_dies(self, gate: ChildProcessGate, tmp_path: Path) -> None:
        """A lost process is replaced; the upload in between may be told to try again."""
        await check(gate, tmp_path, good_file())
        (slot,) = gate._slots._queue  # type: ignore[attr-defined]
        os.kill(slot._process.pid, signal.SIGKILL)
        try:
            verdict = await check(gate, tmp_path, good_file(7))
        except GateUnavailableError:
            verdict = await check(gate, tmp_path, good_file(7))
        assert verdict.record_count == 7

    async def test_tells_its_process_no_secret(
        self, gate: ChildProcessGate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The process that reads untrusted bytes has none of our environment."""
        monkeypatch.setenv("HEALTHINGEST_DATABASE__URL", "not-this-secret")
        await check(gate, tmp_path, good_file())
        (slot,) = gate._slots._queue  # type: ignore[attr-defined]
        environment = await asyncio.to_thread(Path(f"/proc/{slot._process.pid}/environ").read_bytes)
        assert b"not-this-secret" not in environment


class TestAllowedSchemas:
    async def test_lets_only_known_schemas_pass(self, tmp_path: Path) -> None:
        """Those in the folder, whatever their documentation says; another one has its own code."""
        folder = tmp_path / "schemas"
        folder.mkdir()
        (folder / "reading.avsc").write_text(json.dumps(READING | {"doc": "registered"}))
        async with gate_of(schemas_mode="Allowed", schemas_folder=folder) as gate:
            assert (await check(gate, tmp_path, good_file())).record_count == 3
            foreign = raw_file(record_of("int", name="HeartRateRecord"), [block(1, long(1))])
            assert await refusal(gate, tmp_path, foreign) == FindingCode.SCHEMA_NOT_ALLOWED

    async def test_knows_the_schemas_that_we_ship(self) -> None:
        """The samples pass a gate that allows just them."""
        folder = Path(str(files("healthingest_contract").joinpath("schemas")))
        async with gate_of(schemas_mode="Allowed", schemas_folder=folder) as gate:
            for path in sorted(SAMPLES.glob("*.avro")):
                await gate.check(path)

    @pytest.mark.parametrize("content", ["{", '"Unknown"', '{"type": "record"}'])
    async def test_does_not_start_with_a_broken_schema(self, tmp_path: Path, content: str) -> None:
        """A mistake in the folder is told at the start, with the file's name."""
        (tmp_path / "broken.avsc").write_text(content)
        with pytest.raises(ValueError, match=r"broken\.avsc"):
            async with gate_of(schemas_mode="Allowed", schemas_folder=tmp_path):
                pass

    async def test_does_not_start_without_the_folder(self, tmp_path: Path) -> None:
        """Allowing nothing by accident is told at the start."""
        with pytest.raises(ValueError, match="missing"):
            async with gate_of(schemas_mode="Allowed", schemas_folder=tmp_path / "none"):
                pass
