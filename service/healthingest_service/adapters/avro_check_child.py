"""
The gate's own process: reads untrusted Avro files where nothing can be harmed.

`python -m healthingest_service.adapters.avro_check_child` answers one JSON line for each JSON line it reads, `{"path",
"memory_bytes", "cpu_seconds", "wall_seconds"}`. It stays small and warm; each file is read by a fork of it, with hard
limits, that may die of the file. It ends when its input ends.
"""

import ctypes
import json
import os
import re
import resource
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Final

import fastavro
from fastavro.schema import SchemaParseException, UnknownType, fingerprint, to_parsing_canonical_form

from healthingest_contract.topology import is_record_type
from healthingest_service.uploads.findings import FindingCode

_CODECS: Final = frozenset({"null", "deflate", "snappy", "zstandard", "bzip2", "xz"})
_FULL_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
"""Avro specification 1.12, "Names"."""
_MAX_NAME_CHARACTERS: Final = 1024
_MAX_OPEN_FILES: Final = 16
_ANSWER_BYTES: Final = 65536
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


class _RefusedError(Exception):
    """The file is wrong; where, and why."""

    def __init__(self, code: FindingCode, **where: int) -> None:
        super().__init__(code)
        self.finding = {"code": code.value, **where}


@contextmanager
def _refuses(code: FindingCode, **where: int) -> Iterator[None]:
    """Whatever the reader raises becomes *code*; its text, which may hold values of the file, is dropped."""
    try:
        yield
    except (MemoryError, _RefusedError):
        raise
    except Exception:  # noqa: BLE001 - on wrong bytes fastavro raises eighteen types without a common base
        raise _RefusedError(code, **where) from None


def verdict(file: BinaryIO) -> dict[str, Any]:
    """What a correct file is; raises `_RefusedError` for any other."""
    reader = _open(file)
    schema = reader.writer_schema
    name = _record_name(schema)
    with _refuses(FindingCode.SCHEMA_INVALID):
        mark = fingerprint(to_parsing_canonical_form(schema), "SHA-256")
    blocks = records = 0
    for block in _blocks(reader):
        records += _read(block, blocks)
        blocks += 1
    return {
        "record_type": name.rpartition(".")[2],
        "schema_name": name,
        "schema_fingerprint": mark,
        "codec": reader.codec,
        "block_count": blocks,
        "record_count": records,
    }


def _open(file: BinaryIO) -> Any:  # noqa: ANN401 - fastavro has no types
    try:
        reader = fastavro.block_reader(file)
    except MemoryError:
        raise
    except (SchemaParseException, UnknownType, json.JSONDecodeError, TypeError, AttributeError):
        raise _RefusedError(FindingCode.SCHEMA_INVALID) from None
    except Exception:  # noqa: BLE001 - as in `_refuses`
        raise _RefusedError(FindingCode.HEADER_INVALID) from None
    if reader.codec not in _CODECS:
        raise _RefusedError(FindingCode.CODEC_UNSUPPORTED)
    return reader


def _record_name(schema: object) -> str:
    if not isinstance(schema, dict) or schema.get("type") != "record":
        raise _RefusedError(FindingCode.SCHEMA_NOT_A_RECORD)
    name = schema.get("name")
    if not isinstance(name, str) or len(name) > _MAX_NAME_CHARACTERS or _FULL_NAME.fullmatch(name) is None:
        raise _RefusedError(FindingCode.RECORD_TYPE_INVALID)
    if not is_record_type(name.rpartition(".")[2]):
        raise _RefusedError(FindingCode.RECORD_TYPE_INVALID)
    return name


def _blocks(reader: Any) -> Iterator[Any]:  # noqa: ANN401 - fastavro has no types
    count = 0
    while True:
        with _refuses(FindingCode.BLOCK_INVALID, block=count):
            block = next(reader, None)
        if block is None:
            return
        yield block
        count += 1


def _read(block: Any, number: int) -> int:  # noqa: ANN401 - fastavro has no types
    if block.num_records < 1:  # allowed by nobody's writer; a negative one would hide the block's bytes
        raise _RefusedError(FindingCode.BLOCK_COUNT_WRONG, block=number, offset=block.offset)
    if block.num_records > block.bytes_.getbuffer().nbytes:  # records without bytes: the loop would have no end
        raise _RefusedError(FindingCode.BLOCK_COUNT_WRONG, block=number, offset=block.offset)
    records = iter(block)
    for record in range(block.num_records):
        with _refuses(FindingCode.RECORD_INVALID, block=number, record=record, offset=block.offset):
            next(records)
    if block.bytes_.read(1):  # records that the count hides
        raise _RefusedError(FindingCode.BLOCK_COUNT_WRONG, block=number, offset=block.offset)
    return int(block.num_records)


def _answer(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib is not worth its memory here
            return {"verdict": verdict(file)}
    except _RefusedError as refused:
        return {"finding": refused.finding}
    except MemoryError:
        return {"finding": {"code": FindingCode.TOO_MUCH_MEMORY.value}}
    except OSError:
        return {"unavailable": "file"}


def _limit(memory_bytes: int, cpu_seconds: int) -> None:
    """Give up what the reader needs not; none of it can be taken back."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold health data
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_MAX_OPEN_FILES, _MAX_OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
    if sys.platform == "linux":  # elsewhere not enforced, and setting it fails
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _child(request: dict[str, Any], answers: int) -> None:
    """The fork: answer and end, by whatever way."""
    try:
        _limit(request["memory_bytes"], request["cpu_seconds"])
        os.write(answers, json.dumps(_answer(request["path"])).encode())
    except MemoryError:
        os.write(answers, b'{"finding":{"code":"too_much_memory"}}')
    finally:
        os._exit(0)


def _judge(request: dict[str, Any]) -> dict[str, Any]:
    """Fork, wait until it has answered or its time is over, tell what became of it."""
    answers, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        _child(request, theirs)
    os.close(theirs)
    try:
        ready, _, _ = select.select([answers], [], [], request["wall_seconds"])
        answer = os.read(answers, _ANSWER_BYTES) if ready else b""
    finally:
        os.close(answers)
        os.kill(child, signal.SIGKILL)  # not waited for yet: the id is still its own
        _, status = os.waitpid(child, 0)
    if answer:
        read: dict[str, Any] = json.loads(answer)
        return read
    if not ready or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU):
        return {"finding": {"code": FindingCode.TOO_MUCH_TIME.value}}
    return {"finding": {"code": FindingCode.NOT_READABLE.value}}


def main() -> None:
    """Answer requests until there are no more."""
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_judge(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
