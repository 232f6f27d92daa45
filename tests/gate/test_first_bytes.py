"""The gate recognises common files that are not Avro containers."""

import gzip
import io
import json
import struct
import zipfile

import fastavro
import pytest

from avrogate import Cause, Code, Gate, Policy, RefusedError, explain
from support.avro.encoding import MAGIC, double, long, text
from support.avro.validating import findings

SCHEMA = {
    "type": "record",
    "name": "Reading",
    "fields": [
        {"name": "at", "type": "long"},
        {"name": "rate", "type": "int"},
        {"name": "note", "type": "string"},
    ],
}
ROW = {"at": 1_700_000_000_000, "rate": 62, "note": "at rest"}
CANARY = "CANARY"


def _datum() -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, SCHEMA, ROW)
    return out.getvalue()


def _zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(f"{CANARY}.avro", b"x")
    return out.getvalue()


def _protobuf() -> bytes:
    """
    Return fields 1: text, 2: number, 3: double, 4: message.

    See https://protobuf.dev/programming-guides/encoding/.
    """
    inner = b"\x08\x96\x01"
    return b"\x0a\x07patient\x10\x96\x01\x19" + struct.pack("<d", 36.6) + b"\x22\x03" + inner


MISTAKES: dict[str, tuple[bytes, Cause]] = {
    "nothing": (b"", Cause.EMPTY_FILE),
    "text": (b"Dear doctor, my pulse is high.\nYours\n", Cause.TEXT),
    "text in UTF-16": ("Größe".encode("utf-16"), Cause.TEXT),
    "base64": (b"T2JqAQQUYXZyby5jb2RlYwhudWxs\n", Cause.TEXT),
    "a page of a proxy": (b"<!DOCTYPE html>\n<html><body>502</body></html>\n", Cause.TEXT),
    "one word": (CANARY.encode(), Cause.TEXT),
    "a JSON object": (json.dumps(ROW).encode(), Cause.JSON),
    "JSON lines": (b'{"at": 1}\n{"at": 2}\n', Cause.JSON),
    "a JSON array behind a byte order mark": (b"\xef\xbb\xbf [1, 2]", Cause.JSON),
    "CSV": (b"at,rate,note\n1,62,at rest\n2,63,walking\n", Cause.CSV),
    "CSV with semicolons": ("at;größe\n1;ä\n".encode(), Cause.CSV),
    **{
        f"much CSV from {n}": (b"x" * n + b"a;b\n" + ("1;ä\n" * 200).encode(), Cause.CSV)
        for n in range(5)
    },
    "a head of CSV": (b"at,rate,note\n", Cause.CSV),
    "tab-separated": (b"at\trate\r\n1\t62\r\n", Cause.CSV),
    "Parquet": (b"PAR1\x15\x04\x15\x10" + bytes(40) + b"PAR1", Cause.PARQUET),
    "encrypted Parquet": (b"PARE" + bytes(40), Cause.PARQUET),
    "ORC": (b"ORC\x08\x03\x10", Cause.ORC),
    "zip": (_zip(), Cause.ZIP),
    "an empty zip": (b"PK\x05\x06" + bytes(18), Cause.ZIP),
    "gzip": (gzip.compress(MAGIC + bytes(200)), Cause.GZIP),
    "Confluent framing": (b"\x00" + struct.pack(">I", 42) + _datum(), Cause.CONFLUENT_FRAMING),
    "single-object encoding": (
        b"\xc3\x01" + bytes(range(8)) + _datum(),
        Cause.SINGLE_OBJECT_ENCODING,
    ),
    "a raw datum": (_datum(), Cause.RAW_DATUM),
    "a raw datum that begins with a null branch": (
        long(0) + double(0.5) + text("abc"),
        Cause.RAW_DATUM,
    ),
    "protobuf": (_protobuf(), Cause.PROTOBUF),
    "much protobuf": (_protobuf() * 40, Cause.PROTOBUF),
}


def _found(content: bytes, chunk: int) -> tuple[Code, Cause | None]:
    (finding,) = findings(content, chunk=chunk)
    return finding.code, finding.cause


@pytest.mark.parametrize("name", MISTAKES)
def test_a_usual_mistake_is_recognised(name: str) -> None:
    """For any chunks; the message has a remedy and nothing of the file."""
    content, cause = MISTAKES[name]
    for chunk in (0, 1, 7):
        assert _found(content, chunk) == (Code.MAGIC_WRONG, cause)
    explained = explain(findings(content)[0])
    assert explained.message.endswith(".")
    assert explained.remedy
    assert CANARY not in explained.message + explained.remedy


def test_all_causes_are_shown() -> None:
    """Every cause of the first bytes has an example; the last cause is about a schema."""
    assert {cause for _, cause in MISTAKES.values()} == set(Cause) - {Cause.EMPTY_RECORD_NAME}


@pytest.mark.parametrize("content", [b"Obj\x00" + bytes(600), b"Obj\x02", b"Obj\x02" + bytes(600)])
def test_another_version_of_the_format_is_no_other_format(content: bytes) -> None:
    """It has no cause, and the message names the expected version."""
    assert _found(content, 1) == (Code.MAGIC_WRONG, None)


def test_half_a_kibibyte_is_enough() -> None:
    """Such a file is refused after half a KiB, not at its end."""
    gate = Gate(Policy())
    gate.feed(b"a,b\n" * 127)
    with pytest.raises(RefusedError):
        gate.feed(b"a,b\n")


@pytest.mark.parametrize("length", range(1, 4))
def test_the_beginning_of_the_magic_is_a_file_cut_off(length: int) -> None:
    """It is not reported as text, although its bytes are letters."""
    assert _found(MAGIC[:length], 0) == (Code.HEADER_CUT_OFF, None)
