"""Reads the header of an object container file (Avro specification 1.12)."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Final

from avrogate.first_bytes import SNIFF_BYTES, cause_of
from avrogate.policy import Policy
from avrogate.results import Code, Finding, RefusedError
from avrogate.varint import VarintError, read_long

MAGIC: Final = b"Obj\x01"
SYNC_BYTES: Final = 16
_NULL: Final = b"null"


@dataclass(frozen=True, slots=True)
class Header:
    """The content of the header: the schema as text, and the header's `size` in bytes."""

    schema: bytes
    codec: bytes
    sync: bytes
    size: int


class HeaderReader:
    """Reads the header from chunks, each byte once."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._data = bytearray()
        self._pos = 0
        self._wanted = 0
        self._steps = self._parse()

    def feed(self, chunk: bytes) -> tuple[Header, bytes] | None:
        """
        Return the header and the bytes after it, or None while it is incomplete.

        Raises:
            RefusedError: the header is invalid.
        """
        room = self._policy.max_header_bytes - len(self._data)
        self._data += chunk[:room]
        if len(self._data) >= self._wanted:
            try:
                next(self._steps)
            except StopIteration as end:
                header: Header = end.value
                return header, bytes(self._data[header.size :]) + chunk[room:]
            except VarintError as error:
                raise self._refusal(error.code) from None
        if len(self._data) == self._policy.max_header_bytes:
            raise self._refusal(Code.HEADER_TOO_LARGE)
        return None

    def cut_off(self) -> RefusedError:
        """Return the refusal of a file that ends here."""
        looks_right = len(self._data) > 0 and MAGIC.startswith(self._data[: len(MAGIC)])
        return self._refusal(Code.HEADER_CUT_OFF) if looks_right else self._no_container(whole=True)

    def _parse(self) -> Generator[None, None, Header]:
        """Parse the header; yields while fewer than `_wanted` bytes are there."""
        yield from self._magic()
        metadata: dict[bytes, bytes] = {}
        while (count := (yield from self._long())) != 0:
            stop = None
            if count < 0:
                count = -count
                size = yield from self._long()
                stop = self._pos + size
            for _ in range(count):
                yield from self._entry(metadata)
            if stop is not None and self._pos != stop:
                raise self._refusal(Code.METADATA_INVALID)
        sync = yield from self._bytes(SYNC_BYTES)
        if b"avro.schema" not in metadata:
            raise RefusedError(Finding(Code.SCHEMA_MISSING))
        return Header(metadata[b"avro.schema"], metadata.get(b"avro.codec", _NULL), sync, self._pos)

    def _magic(self) -> Generator[None, None, None]:
        """Refuse a file at its first wrong byte, and examine more bytes to guess what it is."""
        for index in range(len(MAGIC)):
            if (yield from self._bytes(1)) != MAGIC[index : index + 1]:
                self._wanted = min(SNIFF_BYTES, self._policy.max_header_bytes)
                while len(self._data) < self._wanted:
                    yield
                raise self._no_container(whole=False)

    def _entry(self, metadata: dict[bytes, bytes]) -> Generator[None, None, None]:
        if len(metadata) == self._policy.max_metadata_entries:
            raise self._refusal(Code.METADATA_TOO_MANY)
        key = yield from self._measured()
        try:
            key.decode()
        except UnicodeDecodeError:
            raise self._refusal(Code.METADATA_INVALID) from None
        if key in metadata:
            raise self._refusal(Code.METADATA_DUPLICATE)
        metadata[key] = yield from self._measured()

    def _measured(self) -> Generator[None, None, bytes]:
        length = yield from self._long()
        if length < 0:
            raise self._refusal(Code.METADATA_INVALID)
        return (yield from self._bytes(length))

    def _bytes(self, length: int) -> Generator[None, None, bytes]:
        end = self._pos + length
        if end > self._policy.max_header_bytes:
            raise self._refusal(Code.HEADER_TOO_LARGE)
        while len(self._data) < end:
            self._wanted = end
            yield
        value = bytes(self._data[self._pos : end])
        self._pos = end
        return value

    def _long(self) -> Generator[None, None, int]:
        while (read := read_long(self._data, self._pos, len(self._data))) is None:
            self._wanted = len(self._data) + 1
            yield
        value, self._pos = read
        return value

    def _no_container(self, *, whole: bool) -> RefusedError:
        first = bytes(self._data[:SNIFF_BYTES])
        return RefusedError(Finding(Code.MAGIC_WRONG, offset=0, cause=cause_of(first, whole=whole)))

    def _refusal(self, code: Code) -> RefusedError:
        return RefusedError(Finding(code, offset=self._pos))
