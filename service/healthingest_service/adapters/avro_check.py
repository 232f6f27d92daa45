"""
The port `Gate`: whole files are read by fastavro, in processes that may die of them.

On untrusted bytes fastavro crashes the interpreter, loops without end and takes all memory; none of it may happen to
the server. So each slot has a small warm process (`avro_check_child`) that forks for every file.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, Literal

from fastavro.schema import fingerprint, to_parsing_canonical_form

from healthingest_service.uploads.errors import FileRefusedError, GateUnavailableError, NotAvroError
from healthingest_service.uploads.findings import FindingCode
from healthingest_service.uploads.model import Finding, Verdict

MAGIC: Final = b"Obj\x01"
"""Avro specification 1.12, "Object Container Files"."""

_CHILD: Final = "healthingest_service.adapters.avro_check_child"
_WALL_PER_CPU: Final = 3
"""A child that shares its core with others still gets its CPU time."""
_GRACE_SECONDS: Final = 5.0
_WAIT_SECONDS: Final = 30.0
_CLOSE_SECONDS: Final = 2.0

SchemasMode = Literal["Any", "Allowed"]


@asynccontextmanager
async def open_gate(
    *,
    memory_limit_bytes: int,
    cpu_limit_seconds: int,
    concurrency: int,
    schemas_mode: SchemasMode,
    schemas_folder: Path | None,
) -> AsyncIterator["ChildProcessGate"]:
    """
    A gate that reads *concurrency* files at once, each within the limits.

    In mode "Allowed" only files whose writer schema is one of `*.avsc` in *schemas_folder* pass; it is read once.

    Raises:
        ValueError: the folder is missing, or a file in it is no Avro schema.
    """
    allowed = None
    if schemas_mode == "Allowed":
        allowed = await asyncio.to_thread(_fingerprints, schemas_folder)
    limits = {
        "memory_bytes": memory_limit_bytes,
        "cpu_seconds": cpu_limit_seconds,
        "wall_seconds": cpu_limit_seconds * _WALL_PER_CPU,
    }
    async with AsyncExitStack() as at_end:
        slots: asyncio.LifoQueue[_Slot] = asyncio.LifoQueue()  # the one used last is the warmest
        for _ in range(concurrency):
            slot = _Slot(limits)
            at_end.push_async_callback(slot.stop)
            slots.put_nowait(slot)
        yield ChildProcessGate(slots, allowed)


class ChildProcessGate:
    """Whether a file is what it says; one more check waits when all slots are taken."""

    def __init__(self, slots: "asyncio.LifoQueue[_Slot]", allowed: frozenset[str] | None) -> None:
        self._slots = slots
        self._allowed = allowed

    async def check(self, path: Path) -> Verdict:
        """See `Gate.check`."""
        if await asyncio.to_thread(_first_bytes, path) != MAGIC:
            raise NotAvroError
        verdict = _verdict(await self._ask(path))
        if self._allowed is not None and verdict.schema_fingerprint not in self._allowed:
            raise FileRefusedError((Finding(FindingCode.SCHEMA_NOT_ALLOWED),))
        return verdict

    async def _ask(self, path: Path) -> dict[str, Any]:
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                slot = await self._slots.get()
        except TimeoutError as error:
            raise GateUnavailableError from error
        try:
            return await slot.ask(path)
        finally:
            self._slots.put_nowait(slot)


class _Slot:
    """One warm process; started when first needed, and again when it was lost."""

    def __init__(self, limits: dict[str, int]) -> None:
        self._limits = limits
        self._process: asyncio.subprocess.Process | None = None

    async def ask(self, path: Path) -> dict[str, Any]:
        """
        Its answer about the file at *path*.

        Raises:
            GateUnavailableError: it gave none.
        """
        question = json.dumps({"path": str(path), **self._limits}).encode() + b"\n"
        try:
            async with asyncio.timeout(self._limits["wall_seconds"] + _GRACE_SECONDS):
                to_child, from_child = _pipes(await self._running())
                to_child.write(question)
                await to_child.drain()
                answer: dict[str, Any] = json.loads(await from_child.readline())
        except (TimeoutError, OSError, ValueError) as error:
            await self.stop()
            raise GateUnavailableError from error
        except BaseException:  # cancelled in between: its answer must not be taken for the next file's
            await self.stop()
            raise
        return answer

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                "-m",
                _CHILD,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,  # a parser's text may hold values of the file
                env={"LC_ALL": "C.UTF-8"},  # our own holds secrets
                start_new_session=True,
            )
        return self._process

    async def stop(self) -> None:
        """Kill the process with its fork, and wait until it is gone."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
        if process.stdin is not None:
            process.stdin.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await process.wait()


def _pipes(process: asyncio.subprocess.Process) -> tuple[asyncio.StreamWriter, asyncio.StreamReader]:
    if process.stdin is None or process.stdout is None:
        message = "a process without pipes"
        raise OSError(message)
    return process.stdin, process.stdout


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(MAGIC))


def _fingerprints(folder: Path | None) -> frozenset[str]:
    if folder is None or not folder.is_dir():
        message = "the folder of allowed schemas is missing"
        raise ValueError(message)
    return frozenset(_fingerprint(path) for path in sorted(folder.glob("*.avsc")))


def _fingerprint(path: Path) -> str:
    try:
        return str(fingerprint(to_parsing_canonical_form(json.loads(path.read_bytes())), "SHA-256"))
    except Exception as error:  # fastavro's errors have no common base
        message = f"{path.name} is no Avro schema"
        raise ValueError(message) from error


def _verdict(answer: dict[str, Any]) -> Verdict:
    match answer:
        case {"verdict": dict(found)}:
            return Verdict(**found)
        case {"finding": dict(finding)}:
            raise FileRefusedError((Finding(**finding),))
        case _:
            raise GateUnavailableError
