"""The port `Gate`, on worker processes that validate with avrogate."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from avrogate import Code
from healthingest_service.adapters.avro_validation.file_validation import FileValidation
from healthingest_service.adapters.avro_validation.pool import GatePool, open_gate
from healthingest_service.uploads.errors import FileRefusedError, GateUnavailableError, NotAvroError
from healthingest_service.uploads.findings import FindingCode
from healthingest_service.uploads.model import ValidationResult
from support.deadlines import HANG_SECONDS
from support.samples import READING, block, good_file, hostile_files, long, raw_file, record_of

SAMPLES = Path(__file__).parents[2] / "examples" / "samples"
CHUNK = 65536


def gate_of(**changed: object) -> AbstractAsyncContextManager[GatePool]:
    """A gate with one worker."""
    arguments: dict[str, Any] = {
        "workers": 1,
        "memory_limit_bytes": 256 << 20,
        "stall_seconds": 5.0,
        "schemas_mode": "Any",
        "schemas_folder": None,
    }
    return open_gate(**(arguments | changed))


@pytest.fixture
async def gate() -> AsyncIterator[GatePool]:
    """A gate for any schema."""
    async with gate_of() as opened:
        yield opened


async def check(gate: GatePool, content: bytes) -> ValidationResult:
    """The result on these bytes, fed as they would come from a socket."""
    async with gate.open() as one:
        for begin in range(0, len(content), CHUNK):
            await one.feed(content[begin : begin + CHUNK])
        return await one.finish()


async def refusal(gate: GatePool, content: bytes) -> str:
    """The code of the first finding."""
    with pytest.raises(FileRefusedError) as refused:
        await check(gate, content)
    return refused.value.findings[0].code


async def feed_for_ever(one: FileValidation) -> None:
    """As a client would that does not listen."""
    while True:
        await one.feed(b"x" * CHUNK)


async def feed_file_for_ever(one: FileValidation, path: Path) -> None:
    """The same, from the disk."""
    while True:
        await one.feed_file(path, offset=0, size_bytes=CHUNK)


def environment_of(pid: int) -> bytes:
    """All variables of a process."""
    return Path(f"/proc/{pid}/environ").read_bytes()


def is_alive(pid: int) -> bool:
    """Whether a process exists."""
    return Path(f"/proc/{pid}").exists()


def worker_of(gate: GatePool) -> int:
    """The process id of its only worker."""
    process = gate._workers[0]._process
    assert process is not None
    return process.pid


class TestGate:
    @pytest.mark.parametrize("codec", ["null", "deflate", "snappy", "zstandard", "bzip2", "xz"])
    async def test_accepts_a_correct_file(self, gate: GatePool, codec: str) -> None:
        """In every codec, with the true number of records."""
        result = await check(gate, good_file(5000, codec=codec))
        assert (result.record_type, result.schema_name) == (
            "HeartRateRecord",
            "test.records.HeartRateRecord",
        )
        assert (result.codec, result.record_count) == (codec, 5000)
        assert result.block_count > 1

    async def test_accepts_a_file_without_records(self, gate: GatePool) -> None:
        """A header alone is a correct file."""
        result = await check(gate, good_file(0))
        assert (result.block_count, result.record_count) == (0, 0)

    @pytest.mark.parametrize("name", ["BloodGlucoseRecord", "HeartRateRecord", "WearableSample"])
    async def test_accepts_the_samples(self, gate: GatePool, name: str) -> None:
        """The files that we give to users."""
        assert (await check(gate, (SAMPLES / f"{name}.avro").read_bytes())).record_type == name

    @pytest.mark.parametrize(
        "content", [b"no avro at all", b"PK\x03\x04" + bytes(100), b"Obj\x02" + bytes(100)]
    )
    async def test_knows_what_is_no_avro(self, gate: GatePool, content: bytes) -> None:
        """Other magic is another kind of file, not a wrong one of ours."""
        with pytest.raises(NotAvroError):
            await check(gate, content)

    @pytest.mark.parametrize("name", hostile_files())
    async def test_refuses_a_hostile_file(self, gate: GatePool, name: str) -> None:
        """With a code of the closed lists; the gate then accepts a good file as before."""
        assert await refusal(gate, hostile_files()[name]) in {*Code, *FindingCode}
        assert (await check(gate, good_file(7))).record_count == 7

    async def test_has_the_limits_that_it_is_given(self) -> None:
        """
        By the names of the gate's policy.

        The finding says which was exceeded, and its message too.
        """
        async with gate_of(limits={"max_block_bytes": 2048, "max_records": 50}) as gate:
            assert (await check(gate, good_file(50))).record_count == 50
            assert await refusal(gate, good_file(51)) == Code.TOO_MANY_RECORDS
            with pytest.raises(FileRefusedError) as refused:
                await check(gate, good_file(5000))
            (finding,) = refused.value.findings
            assert (finding.code, finding.limit) == (Code.TOO_MANY_RECORDS, 50)
            assert "50 records" in finding.message
            assert (
                await refusal(gate, raw_file(record_of("bytes"), [block(1, bytes(3000))]))
                == Code.BLOCK_TOO_LARGE
            )

    async def test_serves_many_at_once(self, gate: GatePool) -> None:
        """
        Files that come in turns, chunk by chunk, through one worker.

        Each gets its own result.
        """
        contents = [good_file(1000 + number) for number in range(20)]
        contents[7] = contents[7][:-1] + b"\x00"
        outcomes = await asyncio.gather(
            *(check(gate, content) for content in contents), return_exceptions=True
        )
        assert isinstance(outcomes.pop(7), FileRefusedError)
        counts = [
            outcome.record_count for outcome in outcomes if isinstance(outcome, ValidationResult)
        ]
        assert counts == [1000 + number for number in range(20) if number != 7]

    async def test_a_slow_client_holds_nobody_up(self, gate: GatePool) -> None:
        """A file that is half there does not keep the only worker from others."""
        async with gate.open() as slow:
            await slow.feed(good_file(100)[:500])
            assert (await check(gate, good_file(3))).record_count == 3
            await slow.feed(good_file(100)[500:])
            assert (await slow.finish()).record_count == 100

    async def test_says_no_before_the_end(self, gate: GatePool) -> None:
        """What is wrong at the beginning is refused while the rest still comes."""
        async with gate.open() as one, asyncio.timeout(HANG_SECONDS):
            with pytest.raises(NotAvroError):
                await feed_for_ever(one)

    async def test_a_dead_worker_costs_a_repeat_and_no_more(self, gate: GatePool) -> None:
        """Files of a worker that is killed can be sent again; the next file has a new worker."""
        async with gate.open() as one:
            await one.feed(good_file(100)[:500])
            async with gate.open() as other:
                await other.feed(good_file(100)[:500])
                os.kill(worker_of(gate), signal.SIGKILL)
                with pytest.raises(GateUnavailableError):
                    await other.finish()
            with pytest.raises(GateUnavailableError):
                await one.finish()
        assert (await check(gate, good_file(7))).record_count == 7

    @pytest.mark.parametrize("signals", [[signal.SIGSEGV, signal.SIGCONT], [signal.SIGKILL]])
    async def test_a_file_is_to_blame_for_a_crash_alone(
        self, gate: GatePool, signals: list[signal.Signals]
    ) -> None:
        """
        While a chunk is validated.

        A worker that breaks down refuses the file, one that somebody kills does not.
        """
        async with gate.open() as one:
            assert (
                await check(gate, good_file(1))
            ).record_count == 1  # everything so far is answered
            os.kill(worker_of(gate), signal.SIGSTOP)
            await one.feed(good_file(100))
            for sent in signals:
                os.kill(worker_of(gate), sent)
            with pytest.raises(
                GateUnavailableError if signals == [signal.SIGKILL] else FileRefusedError
            ):
                await one.finish()

    async def test_a_worker_that_stalls_is_ended(self) -> None:
        """
        A chunk without an answer.

        That file is refused, the other ones may be sent again, the next is validated.
        """
        async with (
            gate_of(stall_seconds=2.0) as gate,
            gate.open() as at_fault,
            gate.open() as other,
        ):
            await other.feed(good_file(100)[:500])
            await at_fault.feed(good_file(100)[:500])
            assert (
                await check(gate, good_file(1))
            ).record_count == 1  # everything so far is answered
            os.kill(worker_of(gate), signal.SIGSTOP)
            await at_fault.feed(good_file(100)[500:])
            with pytest.raises(FileRefusedError) as refused:
                await at_fault.finish()
            assert refused.value.findings[0].code == FindingCode.TOO_MUCH_TIME
            with pytest.raises(GateUnavailableError):
                await other.finish()
            assert (await check(gate, good_file(7))).record_count == 7

    async def test_the_worker_has_nothing_of_ours(
        self, gate: GatePool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No variable of the server's environment, where secrets could be."""
        monkeypatch.setenv("HEALTHINGEST_DATABASE__URL", "postgresql://secret")
        await check(gate, good_file(1))
        assert b"secret" not in environment_of(worker_of(gate))

    async def test_ends_its_workers(self) -> None:
        """Nothing is left running after the gate."""
        async with gate_of() as gate:
            await check(gate, good_file(1))
            pid = worker_of(gate)
        assert not is_alive(pid)


class TestFilesOnDisk:
    @pytest.mark.parametrize("codec", ["null", "deflate"])
    async def test_are_validated_where_they_are(
        self, gate: GatePool, tmp_path: Path, codec: str
    ) -> None:
        """Handed over, then read by the validator in pieces of any size: the same result."""
        content = good_file(300_000, codec=codec)
        path = tmp_path / "body"
        path.write_bytes(content)
        async with gate.open() as one:
            await one.feed(content[:1000])
            await one.feed_file(path, offset=1000, size_bytes=5000)
            await one.feed_file(path, offset=6000, size_bytes=len(content) - 6000)
            assert await one.finish() == await check(gate, content)

    async def test_are_refused_before_their_end(self, gate: GatePool, tmp_path: Path) -> None:
        """What is wrong at the beginning is told while pieces are still handed over."""
        path = tmp_path / "body"
        path.write_bytes(bytes(CHUNK))
        async with gate.open() as one, asyncio.timeout(HANG_SECONDS):
            with pytest.raises(NotAvroError):
                await feed_file_for_ever(one, path)

    @pytest.mark.parametrize("there", [None, 100])
    async def test_that_cannot_be_read_are_not_to_blame(
        self, gate: GatePool, tmp_path: Path, there: int | None
    ) -> None:
        """
        A file that is missing, or shorter than was said, can be sent again.

        The next one is validated.
        """
        path = tmp_path / "body"
        if there is not None:
            path.write_bytes(good_file(500)[:there])
        async with gate.open() as one:
            await one.feed_file(path, offset=0, size_bytes=1000)
            with pytest.raises(GateUnavailableError):
                await one.finish()
        assert (await check(gate, good_file(7))).record_count == 7

    async def test_wait_for_a_worker_that_is_busy(self, tmp_path: Path) -> None:
        """A few pieces go ahead, no more: others would wait for all of them."""
        path = tmp_path / "body"
        path.write_bytes(good_file(1))
        with path.open("ab") as file:
            file.truncate(64 << 20)
        async with gate_of(stall_seconds=2.0) as gate, gate.open() as one:
            assert (await check(gate, good_file(1))).record_count == 1
            os.kill(worker_of(gate), signal.SIGSTOP)
            with pytest.raises(FileRefusedError) as refused:
                await one.feed_file(path, offset=0, size_bytes=64 << 20)
            assert refused.value.findings[0].code == FindingCode.TOO_MUCH_TIME


class TestAllowedSchemas:
    @pytest.fixture(name="folder")
    def _folder(self, tmp_path: Path) -> Path:
        schema = files("healthingest_contract") / "schemas" / "BloodGlucoseRecord.avsc"
        (tmp_path / "glucose.avsc").write_text(schema.read_text())
        return tmp_path

    async def test_lets_a_listed_schema_in(self, folder: Path) -> None:
        """The writer schema is one of the folder's."""
        async with gate_of(schemas_mode="Allowed", schemas_folder=folder) as gate:
            content = (SAMPLES / "BloodGlucoseRecord.avro").read_bytes()
            assert (await check(gate, content)).record_type == "BloodGlucoseRecord"

    async def test_refuses_any_other(self, folder: Path) -> None:
        """A correct file of a schema that is not listed."""
        async with gate_of(schemas_mode="Allowed", schemas_folder=folder) as gate:
            assert (
                await refusal(gate, good_file(1, schema=READING)) == FindingCode.SCHEMA_NOT_ALLOWED
            )

    async def test_lets_schemas_in_that_refer_to_each_other(self, folder: Path) -> None:
        """In subfolders, in any order, with a comment: a worker reads them as the server has."""
        (folder / "a").mkdir()
        (folder / "a" / "list.avsc").write_text(
            '/* all */ {"type": "record", "name": "L", "fields": ['
            '{"name": "f", "type": {"type": "array", "items": "n.Row"}}]}'
        )
        (folder / "row.avsc").write_text(json.dumps(record_of("int", name="n.Row")))
        content = raw_file(
            {
                "type": "record",
                "name": "L",
                "fields": [
                    {
                        "name": "f",
                        "type": {"type": "array", "items": record_of("int", name="n.Row")},
                    }
                ],
            },
            [block(1, long(1) + long(7) + long(0))],
        )
        async with gate_of(schemas_mode="Allowed", schemas_folder=folder) as gate:
            assert (await check(gate, content)).record_type == "L"
        (folder / "row.avsc").unlink()
        with pytest.raises(ValueError, match=r"a/list\.avsc#/fields/0/type/items .*`n\.Row`"):
            async with gate_of(schemas_mode="Allowed", schemas_folder=folder):
                pass

    async def test_needs_a_folder_of_schemas(self, tmp_path: Path) -> None:
        """A missing folder, or a file that is no schema, is told at the start."""
        with pytest.raises(ValueError, match="missing"):
            async with gate_of(schemas_mode="Allowed", schemas_folder=None):
                pass
        (tmp_path / "broken.avsc").write_text("{")
        with pytest.raises(ValueError, match=r"broken\.avsc"):
            async with gate_of(schemas_mode="Allowed", schemas_folder=tmp_path):
                pass
