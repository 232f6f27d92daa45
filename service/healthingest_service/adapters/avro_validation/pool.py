"""
The port `Gate` with worker processes, which validate files while they are received.

A worker validates many files at once, so a slow client does not occupy it. If a worker stalls or
crashes, the file that it worked on is refused, and its other files fail with
`GateUnavailableError`.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Final, Literal

from typing_extensions import override

from healthingest_service.adapters.avro_validation.file_validation import FileValidation, outcome_of
from healthingest_service.adapters.avro_validation.frames import (
    ANSWERED,
    Answer,
    Answers,
    Kind,
    head,
)
from healthingest_service.adapters.schema_folder import listed_schemas
from healthingest_service.uploads.errors import FileRefusedError, GateUnavailableError, UploadError
from healthingest_service.uploads.findings import FindingCode, finding_of
from healthingest_service.uploads.ports import Gate

SchemasMode = Literal["Any", "Allowed"]

_WORKER: Final = "healthingest_service.adapters.avro_validation.worker"
_SOCKET_BYTES: Final = 1 << 20
_CLOSE_SECONDS: Final = 2.0
_KILLED: Final = frozenset({-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP})
"""Exit codes of a worker that was killed from outside, for example by the kernel's OOM killer."""
_GATHER_BYTES: Final = 64 * 1024
_ANSWERS_BYTES: Final = 64 * 1024
"""Room for the answers of many files."""


@asynccontextmanager
async def open_gate(  # noqa: PLR0913 - one argument for each setting
    *,
    workers: int,
    memory_limit_bytes: int,
    stall_seconds: float,
    schemas_mode: SchemasMode,
    schemas_folder: Path | None,
    limits: Mapping[str, int] | None = None,
) -> AsyncIterator["GatePool"]:
    """
    Open a gate with *workers* processes; a worker that is silent for *stall_seconds* is killed.

    In mode "Allowed", the writer schema of a file must be one of `*.avsc` in *schemas_folder*, or
    readable with one of them (Avro 1.12, "Schema Resolution"). The folder is read once. *limits*
    override the defaults of `avrogate.Policy`, by its names.

    Raises:
        ValueError: the folder is missing, or a file in it is no Avro schema.
    """
    listed = (
        await asyncio.to_thread(listed_schemas, schemas_folder)
        if schemas_mode == "Allowed"
        else None
    )
    async with AsyncExitStack() as at_end:
        pool = []
        for _ in range(workers):
            worker = _WorkerProcess(
                {"schemas": listed, "limits": dict(limits or {})}, memory_limit_bytes, stall_seconds
            )
            at_end.push_async_callback(worker.stop)
            pool.append(worker)
        yield GatePool(pool)


class GatePool(Gate):
    """Assigns each file to the worker with the fewest files."""

    def __init__(self, workers: Sequence["_WorkerProcess"]) -> None:
        self._workers = workers
        self._numbers = count(1)

    @override
    @asynccontextmanager
    async def open(self) -> AsyncIterator["FileValidation"]:
        worker = min(self._workers, key=lambda one: len(one.files))
        number = next(self._numbers)
        check = FileValidation(worker.send, number)
        await worker.send(Kind.OPEN, number, check=check)
        try:
            yield check
        finally:
            worker.forget(number)


class _WorkerProcess:
    """A worker process; it is started for its first file, and again after it has ended."""

    def __init__(
        self, policy: Mapping[str, object], memory_limit_bytes: int, stall_seconds: float
    ) -> None:
        self.files: dict[int, FileValidation] = {}
        self._policy = json.dumps(policy).encode()
        self._memory_limit_bytes = memory_limit_bytes
        self._stall_seconds = stall_seconds
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._listening: asyncio.Task[None] | None = None
        self._unanswered: deque[int] = deque()
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._starting = asyncio.Lock()

    async def send(
        self, kind: Kind, number: int, payload: bytes = b"", *, check: FileValidation | None = None
    ) -> None:
        """
        Send a frame; waits while the send buffer is full. *check* is given for a new file.

        Raises:
            GateUnavailableError: the worker cannot be started.
        """
        if check is not None:
            await self._start()
            self.files[number] = check
        writer = self._writer
        if writer is None or number not in self.files:
            return  # the worker has ended, and the outcome of the file is set
        if kind in ANSWERED:
            self._unanswered.append(number)
            self.files[number].count_sent()
        self._gather(head(kind, number, len(payload)), payload)
        if self._gathered_bytes >= _GATHER_BYTES:
            self._flush()
        with suppress(OSError):  # `_listen` notices the end of the worker
            await writer.drain()

    def _gather(self, *pieces: bytes) -> None:
        """Collect the frames of one event loop iteration, to send them in one system call."""
        if not self._gathered:
            asyncio.get_running_loop().call_soon(self._flush)
        self._gathered += pieces
        self._gathered_bytes += sum(map(len, pieces))

    def _flush(self) -> None:
        gathered = self._gathered
        self._gathered = []
        self._gathered_bytes = 0
        if gathered and self._writer is not None:
            self._writer.writelines(gathered)

    def forget(self, number: int) -> None:
        """Release a file; the worker drops it if its outcome is not known. Never waits."""
        check = self.files.pop(number, None)
        if check is not None and not check.is_settled and self._writer is not None:
            self._gather(head(Kind.CLOSE, number, 0))

    async def stop(self) -> None:
        """Kill the process, and wait for its end."""
        if self._listening is not None:
            self._listening.cancel()
            with suppress(asyncio.CancelledError):
                await self._listening
        await self._end(GateUnavailableError())

    async def _start(self) -> None:
        async with self._starting:
            if self._writer is not None:
                return
            if self._listening is not None:
                await self._listening  # the end of the previous process
            connection = await self._spawn()
            reader, self._writer = await asyncio.open_connection(sock=connection)
            self._writer.write(head(Kind.POLICY, 0, len(self._policy)) + self._policy)
            self._unanswered.clear()
            self._gathered = []  # frames for the previous process
            self._gathered_bytes = 0
            self._listening = asyncio.create_task(self._listen(reader))

    async def _spawn(self) -> socket.socket:
        """Start the process; returns the server's end of the socket pair."""
        ours, theirs = socket.socketpair()
        with theirs:
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BYTES)
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *(
                        sys.executable,
                        "-I",
                        "-m",
                        _WORKER,
                        str(theirs.fileno()),
                        str(self._memory_limit_bytes),
                    ),
                    pass_fds=[theirs.fileno()],
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.DEVNULL,  # a traceback may hold values of a file
                    env={"LC_ALL": "C.UTF-8"},  # the server's environment may hold secrets
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                raise GateUnavailableError from error
        return ours

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        """
        Process answers until the worker ends or stalls.

        Then the file that it worked on is refused, unless the worker was killed from outside.
        """
        code: FindingCode | None = FindingCode.NOT_READABLE
        answers = Answers()
        try:
            while True:
                for answer in await self._next_answers(reader, answers):
                    self._settle(answer)
        except TimeoutError:
            code = FindingCode.TOO_MUCH_TIME
        except (EOFError, OSError):
            if await self._exit_code() in _KILLED:
                code = None
        if (
            code is not None
            and self._unanswered
            and (culprit := self.files.get(self._unanswered[0])) is not None
        ):
            culprit.settle(FileRefusedError((finding_of(code),)))
        await self._end(GateUnavailableError())

    async def _next_answers(
        self, reader: asyncio.StreamReader, answers: Answers
    ) -> Sequence[Answer]:
        """
        Return the next answers, at least one.

        Raises:
            EOFError, OSError: the worker has ended.
            TimeoutError: a frame waits for an answer, and the worker is silent.
        """
        while True:
            waiting_for = len(self._unanswered)
            try:
                async with asyncio.timeout(self._stall_seconds):
                    return await _some(reader, answers)
            except TimeoutError:
                if waiting_for:
                    raise

    def _settle(self, answer: Answer) -> None:
        self._unanswered.popleft()
        check = self.files.get(answer.number)
        if check is None:
            return
        check.count_answered()
        if answer.kind != Kind.DONE:
            alone = len(self.files) == 1
            check.settle(outcome_of(answer.kind, answer.payload, alone=alone))

    async def _end(self, outcome: UploadError) -> None:
        writer = self._writer
        self._writer = None
        for check in self.files.values():
            check.settle(outcome)
        self.files.clear()
        if writer is not None:
            writer.close()
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, 9)
            await self._exit_code()
            self._process = None  # only now: after a cancelled wait, `stop` must wait again

    async def _exit_code(self) -> int | None:
        """Wait up to 2 s for the end of the process; returns its exit code, or None."""
        if self._process is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    return await self._process.wait()
        return None


async def _some(reader: asyncio.StreamReader, answers: Answers) -> Sequence[Answer]:
    """Read until an answer is complete."""
    while True:
        received = await reader.read(_ANSWERS_BYTES)
        if not received:
            raise EOFError
        if found := answers.split(received):
            return found
