"""
A slow reader that implements the specification without code of the gate.

It builds every value and writes it again. If it cannot read a file, or writes other bytes, the gate
was wrong to accept it.
"""

import bz2
import json
import lzma
import uuid
import zlib
from dataclasses import dataclass
from typing import Any

import cramjam
from backports import zstd

from support.avro.encoding import MAGIC, long, text

_PRIMITIVES = {"null", "boolean", "int", "long", "float", "double", "bytes", "string"}
_WIDTHS = {"null": 0, "float": 4, "double": 8}
_MAX_DEPTH = 64


class WrongError(Exception):
    """The file violates the specification."""


def count_records(file: bytes) -> int:
    """Return the number of records of a valid file; raises `WrongError`."""
    reader = _Bytes(file)
    _require(reader.take(4) == MAGIC)
    metadata: dict[bytes, bytes] = {}
    while count := reader.long():
        size = reader.long() if count < 0 else None
        start = reader.pos
        for _ in range(abs(count)):
            key = reader.take(reader.length())
            key.decode()
            _require(key not in metadata)
            metadata[key] = reader.take(reader.length())
        _require(size is None or reader.pos == start + size)
    sync = reader.take(16)
    codec = metadata.get(b"avro.codec", b"null").decode()
    types = _Types(json.loads(metadata[b"avro.schema"]))
    records = 0
    while reader.pos < len(file):
        count = reader.long()
        _require(count >= 0)
        packed = reader.take(reader.length())
        block = _Bytes(_inflate(codec, packed) if packed or count else b"")
        again = b"".join(types.again(types.root, "", block, 0) for _ in range(count))
        _require(again == block.data)
        _require(reader.take(16) == sync)
        records += count
    return records


def _require(fact: bool) -> None:  # noqa: FBT001 - an assertion
    if not fact:
        raise WrongError


@dataclass(slots=True)
class _Bytes:
    data: bytes
    pos: int = 0

    def take(self, length: int) -> bytes:
        _require(0 <= length <= len(self.data) - self.pos)
        self.pos += length
        return self.data[self.pos - length : self.pos]

    def long(self) -> int:
        start = self.pos
        value = 0
        shift = 0
        while (byte := self.take(1)[0]) > 0x7F:
            value |= (byte & 0x7F) << shift
            shift += 7
        value |= byte << shift
        value = value >> 1 if value % 2 == 0 else -(value + 1 >> 1)
        _require(-(2**63) <= value < 2**63)
        _require(self.data[start : self.pos] == long(value))
        return value

    def length(self) -> int:
        value = self.long()
        _require(value >= 0)
        return value


class _Types:
    """The schema as JSON, and its named types."""

    def __init__(self, root: Any) -> None:  # noqa: ANN401 - JSON
        self.root = root
        self._named: dict[str, tuple[Any, str]] = {}
        self._learn(root, "")

    def _learn(self, type_: Any, space: str) -> None:  # noqa: ANN401 - JSON
        if isinstance(type_, list):
            for branch in type_:
                self._learn(branch, space)
        if not isinstance(type_, dict):
            return
        if type_["type"] in {"record", "error", "enum", "fixed"}:
            full = self._full(type_["name"], type_.get("namespace", space) or "")
            space = full.rpartition(".")[0]
            self._named[full] = type_, space
        for field in type_.get("fields", []) if type_["type"] in {"record", "error"} else []:
            self._learn(field["type"], space)
        for below in (
            ("items",)
            if type_["type"] == "array"
            else ("values",)
            if type_["type"] == "map"
            else ()
        ):
            self._learn(type_[below], space)

    @staticmethod
    def _full(name: str, space: str) -> str:
        return name if "." in name or not space else f"{space}.{name}"

    # ANN401: JSON; one for each kind
    def again(self, type_: Any, space: str, data: _Bytes, depth: int) -> bytes:  # noqa: ANN401, PLR0911
        """Read one value and write it again."""
        if isinstance(type_, list):
            index = data.long()
            _require(0 <= index < len(type_))
            return long(index) + self.again(type_[index], space, data, depth)
        if isinstance(type_, str) and type_ not in _PRIMITIVES:
            full = self._full(type_, space)
            return self.again(*self._named[full if full in self._named else type_], data, depth)
        attributes = type_ if isinstance(type_, dict) else {"type": type_}
        match attributes["type"]:
            case "record" | "error":
                return self._record(attributes, space, data, depth + 1)
            case "array":
                return self._items(
                    lambda: self.again(attributes["items"], space, data, depth), data
                )
            case "map":
                return self._items(
                    lambda: (
                        _string({}, data) + self.again(attributes["values"], space, data, depth)
                    ),
                    data,
                )
            case "enum":
                index = data.long()
                _require(0 <= index < len(attributes["symbols"]))
                return long(index)
            case "fixed":
                return _decimal(attributes, data.take(attributes["size"]))
            case str() as kind if kind not in _PRIMITIVES:
                return self.again(kind, space, data, depth)
        return _primitive(attributes, data)

    # ANN401: a JSON value
    def _record(self, attributes: Any, space: str, data: _Bytes, depth: int) -> bytes:  # noqa: ANN401
        _require(depth <= _MAX_DEPTH)
        full = self._full(attributes["name"], attributes.get("namespace", space) or "")
        inside = full.rpartition(".")[0]
        return b"".join(
            self.again(field["type"], inside, data, depth) for field in attributes["fields"]
        )

    @staticmethod
    def _items(item: Any, data: _Bytes) -> bytes:  # noqa: ANN401 - a function
        out = b""
        while count := data.long():
            size = data.length() if count < 0 else None
            start = data.pos
            content = b"".join(item() for _ in range(abs(count)))
            _require(size is None or data.pos == start + size)
            out += long(count) + (b"" if size is None else long(len(content))) + content
        return out + long(0)


def _primitive(attributes: dict[str, Any], data: _Bytes) -> bytes:
    kind = attributes["type"]
    logical = attributes.get("logicalType")
    match kind:
        case "boolean":
            byte = data.take(1)
            _require(byte in {b"\x00", b"\x01"})
            return byte
        case "int" | "long":
            value = data.long()
            _require(kind == "long" or -(2**31) <= value < 2**31)
            limits = {"time-millis": 86_400_000, "time-micros": 86_400_000_000}
            if (kind, logical) in {("int", "time-millis"), ("long", "time-micros")}:
                _require(0 <= value < limits[str(logical)])
            return long(value)
        case "bytes":
            return text(_decimal(attributes, data.take(data.length())))
        case "string":
            return _string(attributes, data)
    return data.take(_WIDTHS[kind])


def _string(attributes: dict[str, Any], data: _Bytes) -> bytes:
    try:
        value = data.take(data.length()).decode()
        if attributes.get("logicalType") == "uuid":
            _require(str(uuid.UUID(value)) == value.lower())
    except ValueError:
        raise WrongError from None
    return text(value)


def _decimal(attributes: dict[str, Any], value: bytes) -> bytes:
    precision = attributes.get("precision")
    scale = attributes.get("scale", 0)
    if (
        attributes.get("logicalType") != "decimal"
        or type(precision) is not int
        or type(scale) is not int
    ):
        return value
    size = attributes.get("size")
    if (
        not 0 <= scale <= precision
        or precision < 1
        or (size and 10**precision > 2 ** (8 * size - 1) - 1)
    ):
        return value
    _require(len(value) > 0)
    _require(abs(int.from_bytes(value, "big", signed=True)) < 10**precision)
    return value


def _inflate(codec: str, data: bytes) -> bytes:
    match codec:
        case "deflate":
            stream = zlib.decompressobj(-15)
            out = stream.decompress(data) + stream.flush()
            checksum = zlib.adler32(out).to_bytes(4, "big")
            _require(stream.eof and stream.unused_data in {b"", checksum[:3], checksum})
            return out
        case "snappy":
            out = bytes(cramjam.snappy.decompress_raw(data[:-4]))
            _require(zlib.crc32(out).to_bytes(4, "big") == data[-4:])
            return out
        case "zstandard":
            return zstd.decompress(data)
        case "bzip2":
            return bz2.decompress(data)
        case "xz":
            return lzma.decompress(data, format=lzma.FORMAT_XZ)
    return data
