"""
A worker process of the Avro gate: validates the files of many uploads, chunk by chunk.

`python -I -m healthingest_service.adapters.avro_validation.worker FD MEMORY_BYTES` serves the
socket FD; see `frames`. The process has hard resource limits, no environment variables, and only
this socket of the server, so a bug in the gate affects this process only.
"""

import ctypes
import json
import os
import resource
import signal
import socket
import sys
from dataclasses import fields, replace
from typing import Any, Final

from avrogate import (
    Gate,
    Policy,
    RefusedError,
    SchemaCache,
    ValidationResult,
    finding_to_json,
    fingerprint,
    parse_schema_set,
)
from healthingest_service.adapters.avro_validation.frames import HEAD, PIECE, Kind, head

_MAX_OPEN_FILES: Final = 16
_READ_BYTES: Final = 256 * 1024
"""Bytes read at once, few enough to stay in the processor's cache until they are validated."""
_BUFFER_BYTES: Final = 64 * 1024
"""Room for the frames of a small file."""
_RESULT_FIELDS: Final = tuple(field.name for field in fields(ValidationResult))
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_PR_SET_NO_NEW_PRIVS: Final = 38  # the same


class _Worker:
    """Answers frames until the server closes the socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        # The server sends several frames at once, which one system call reads.
        self._frames = connection.makefile("rb", buffering=_BUFFER_BYTES)
        self._files: dict[int, Gate] = {}
        self._policy = Policy()
        self._schemas = SchemaCache(self._policy)

    def run(self) -> None:
        while (frame := self._read()) is not None:
            kind, number, payload = frame
            if kind == Kind.POLICY:
                self._policy = _policy(json.loads(payload))
                self._schemas = SchemaCache(self._policy)
                continue
            if kind == Kind.OPEN:
                self._files[number] = Gate(self._policy, self._schemas)
                continue
            if kind == Kind.CLOSE:
                self._files.pop(number, None)
                continue
            answer, content = self._answer(kind, number, payload)
            self._connection.sendall(head(answer, number, len(content)) + content)

    def _answer(self, kind: int, number: int, payload: bytes) -> tuple[Kind, bytes]:
        try:
            return self._process(kind, number, payload)
        except RefusedError as refused:
            self._files.pop(number, None)
            findings = [finding_to_json(finding) for finding in refused.findings]
            return Kind.REFUSED, json.dumps(findings).encode()
        except MemoryError:
            self._files.pop(number, None)
            return Kind.FAILED, b""
        except (OSError, EOFError):
            self._files.pop(number, None)
            return Kind.UNREADABLE, b""

    def _process(self, kind: int, number: int, payload: bytes) -> tuple[Kind, bytes]:
        if number not in self._files:
            pass  # the frame was sent before the server read the refusal
        elif kind == Kind.FEED:
            self._files[number].feed(payload)
        elif kind == Kind.FEED_FILE:
            _feed_file(self._files[number], payload)
        else:
            result = self._files.pop(number).finish()
            values = {name: getattr(result, name) for name in _RESULT_FIELDS}
            return Kind.ACCEPTED, json.dumps(values).encode()
        return Kind.DONE, b""

    def _read(self) -> tuple[int, int, bytes] | None:
        first = self._frames.read(HEAD.size)
        if len(first) < HEAD.size:
            return None
        kind, number, length = HEAD.unpack(first)
        payload = self._frames.read(length)
        return None if len(payload) < length else (kind, number, payload)


def _feed_file(gate: Gate, payload: bytes) -> None:
    """Feed a part of a file; the file is opened each time, as many files are validated at once."""
    offset, left = PIECE.unpack_from(payload)
    descriptor = os.open(payload[PIECE.size :], os.O_RDONLY | os.O_CLOEXEC)
    try:
        while left:
            data = os.pread(descriptor, min(left, _READ_BYTES), offset)
            if not data:
                raise EOFError  # the file is shorter than the server announced
            gate.feed(data)
            offset = offset + len(data)
            left = left - len(data)
    finally:
        os.close(descriptor)


def _policy(message: dict[str, Any]) -> Policy:
    policy = Policy(**message["limits"])
    if message["schemas"] is None:
        return policy
    files = {name: text.encode() for name, text in message["schemas"].items()}
    schemas = tuple(parse_schema_set(files, Policy()).values())
    return replace(
        policy, fingerprints=frozenset(fingerprint(schema) for schema in schemas), readers=schemas
    )


def _limit(memory_bytes: int) -> None:
    """Set hard resource limits, which the process cannot raise again."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would contain health data
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_MAX_OPEN_FILES, _MAX_OPEN_FILES))
    if sys.platform == "linux":  # other platforms do not support it
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def main() -> None:
    """Serve the socket whose file descriptor is the first argument."""
    descriptor = int(sys.argv[1])
    memory_bytes = int(sys.argv[2])
    _limit(memory_bytes)
    with socket.socket(fileno=descriptor) as connection:
        _Worker(connection).run()


if __name__ == "__main__":
    main()
