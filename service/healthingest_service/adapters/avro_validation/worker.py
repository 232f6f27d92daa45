"""
A worker process of the Avro gate: validates the files of many uploads, chunk by chunk.

`python -I -m healthingest_service.adapters.avro_validation.worker FD MEMORY_BYTES` serves the
socket FD; see `frames`. The process has hard limits, no environment, and nothing of the server but
that socket: a bug in the gate ends this process alone.
"""

import ctypes
import json
import os
import resource
import signal
import socket
import sys
from dataclasses import asdict, replace
from typing import Any, Final

from avrogate import Gate, Policy, RefusedError, finding_to_json, fingerprint, parse_schema_set
from healthingest_service.adapters.avro_validation.frames import HEAD, PIECE, Kind, head

_MAX_OPEN_FILES: Final = 16
_READ_BYTES: Final = 256 * 1024
"""At once: so much stays in the processor's cache until it is validated."""
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_PR_SET_NO_NEW_PRIVS: Final = 38  # the same


class _Worker:
    """Answers frames until the socket ends."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._files: dict[int, Gate] = {}
        self._policy = Policy()

    def run(self) -> None:
        while (frame := self._read()) is not None:
            kind, number, payload = frame
            if kind == Kind.POLICY:
                self._policy = _policy(json.loads(payload))
                continue
            if kind == Kind.CLOSE:
                self._files.pop(number, None)
                continue
            answer, content = self._answer(kind, number, payload)
            self._connection.sendall(head(answer, number, len(content)) + content)

    def _answer(self, kind: int, number: int, payload: bytes) -> tuple[Kind, bytes]:
        try:
            return self._validate_written(kind, number, payload)
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

    def _validate_written(self, kind: int, number: int, payload: bytes) -> tuple[Kind, bytes]:
        if kind == Kind.OPEN:
            self._files[number] = Gate(self._policy)
        elif number not in self._files:
            pass  # frames that were under way when its refusal was sent
        elif kind == Kind.FEED:
            self._files[number].feed(payload)
        elif kind == Kind.FEED_FILE:
            _feed_file(self._files[number], payload)
        else:
            return Kind.ACCEPTED, json.dumps(asdict(self._files.pop(number).finish())).encode()
        return Kind.DONE, b""

    def _read(self) -> tuple[int, int, bytes] | None:
        first = self._exactly(HEAD.size)
        if first is None:
            return None
        kind, number, length = HEAD.unpack(first)
        payload = self._exactly(length) if length else b""
        return None if payload is None else (kind, number, payload)

    def _exactly(self, length: int) -> bytes | None:
        data = self._connection.recv(length, socket.MSG_WAITALL)
        while len(data) < length:  # the end, or a signal
            more = self._connection.recv(length - len(data))
            if not more:
                return None
            data += more
        return data


def _feed_file(gate: Gate, payload: bytes) -> None:
    """Opened for each piece: a worker has more files under validation than it may hold open."""
    offset, left = PIECE.unpack_from(payload)
    descriptor = os.open(payload[PIECE.size :], os.O_RDONLY | os.O_CLOEXEC)
    try:
        while left:
            data = os.pread(descriptor, min(left, _READ_BYTES), offset)
            if not data:
                raise EOFError  # the server said that they are there
            gate.feed(data)
            offset = offset + len(data)
            left = left - len(data)
    finally:
        os.close(descriptor)


def _policy(given: dict[str, Any]) -> Policy:
    policy = Policy(**given["limits"])
    if given["schemas"] is None:
        return policy
    files = {name: text.encode() for name, text in given["schemas"].items()}
    schemas = tuple(parse_schema_set(files, Policy()).values())
    return replace(
        policy, fingerprints=frozenset(fingerprint(schema) for schema in schemas), readers=schemas
    )


def _limit(memory_bytes: int) -> None:
    """Give up what the gate needs not; none of it can be taken back."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold health data
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_MAX_OPEN_FILES, _MAX_OPEN_FILES))
    if sys.platform == "linux":  # elsewhere not enforced, and setting it fails
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def main() -> None:
    """Serve the socket that the server left open for us."""
    descriptor = int(sys.argv[1])
    memory_bytes = int(sys.argv[2])
    _limit(memory_bytes)
    with socket.socket(fileno=descriptor) as connection:
        _Worker(connection).run()


if __name__ == "__main__":
    main()
