"""Valid files of other writers are never refused."""

import io
import json
from typing import Any

import avro.datafile
import avro.io
import avro.schema
import fastavro
import pytest
from fastavro.schema import fingerprint, to_parsing_canonical_form
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from avrogate import Policy, canonical_form, parse_schema
from support.avro.encoding import CODECS
from support.avro.reference import count_records
from support.avro.strategies import files
from support.avro.validating import validate

pytestmark = pytest.mark.timeout(600)  # a guard against hanging
_SETTINGS = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
_LONG_SETTINGS = settings(_SETTINGS, max_examples=500)


_FASTAVRO = given(
    file=files(logical=True),
    codec=st.sampled_from(CODECS),
    interval=st.sampled_from([1, 50, 16000]),
)
_APACHE = given(file=files(logical=False), codec=st.sampled_from(["null", "deflate", "bzip2"]))
File = tuple[dict[str, Any], list[Any]]


@_SETTINGS
@_FASTAVRO
def test_what_fastavro_writes_passes(file: File, codec: str, interval: int) -> None:
    """With every codec, any schema and blocks of any size; fed at once or byte by byte."""
    _passes_from_fastavro(file, codec, interval)


@pytest.mark.long
@_LONG_SETTINGS
@_FASTAVRO
def test_what_fastavro_writes_passes_at_length(file: File, codec: str, interval: int) -> None:
    """As above, with many more schemas."""
    _passes_from_fastavro(file, codec, interval)


@_SETTINGS
@_APACHE
def test_what_apache_avro_writes_passes(file: File, codec: str) -> None:
    """With each codec that it has without further packages."""
    _passes_from_apache(file, codec)


@pytest.mark.long
@_LONG_SETTINGS
@_APACHE
def test_what_apache_avro_writes_passes_at_length(file: File, codec: str) -> None:
    """As above, with many more schemas."""
    _passes_from_apache(file, codec)


def _passes_from_fastavro(file: File, codec: str, interval: int) -> None:
    schema, records = file
    out = io.BytesIO()
    fastavro.writer(out, schema, records, codec=codec, sync_interval=interval)
    result = validate(out.getvalue())
    assert result.record_count == len(records) == count_records(out.getvalue())
    assert validate(out.getvalue(), chunk=3) == result


def _passes_from_apache(file: File, codec: str) -> None:
    schema, records = file
    out = io.BytesIO()
    parsed = avro.schema.parse(json.dumps(schema))
    writer = avro.datafile.DataFileWriter(out, avro.io.DatumWriter(), parsed, codec=codec)
    for record in records:
        writer.append(record)
    writer.flush()
    assert validate(out.getvalue()).record_count == len(records)


@_SETTINGS
@given(file=files(logical=True))
def test_the_canonical_form_is_that_of_fastavro(file: File) -> None:
    """The text is equal, and so is the fingerprint."""
    ours = parse_schema(json.dumps(file[0]).encode(), Policy())
    theirs = to_parsing_canonical_form(file[0])
    assert canonical_form(ours) == theirs
    result = validate(_empty(file[0]))
    assert result.schema_fingerprint == fingerprint(theirs, "SHA-256")


def _empty(schema: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    fastavro.writer(out, schema, [])
    return out.getvalue()


@pytest.mark.parametrize("depth", [1, 60, 64])
def test_legitimate_recursion_passes(depth: int) -> None:
    """A linked list and a tree are accepted, with up to 64 nested records."""
    linked: dict[str, Any] = {
        "type": "record",
        "name": "Node",
        "fields": [{"name": "value", "type": "long"}, {"name": "next", "type": ["null", "Node"]}],
    }
    tree = {
        "type": "record",
        "name": "Tree",
        "fields": [{"name": "children", "type": {"type": "array", "items": "Tree"}}],
    }
    chain: Any = None
    branch: Any = {"children": []}
    for _ in range(depth):
        chain = {"value": 1, "next": chain}
    for _ in range(depth - 1):
        branch = {"children": [branch, {"children": []}]}
    out = io.BytesIO()
    grown = io.BytesIO()
    fastavro.writer(out, linked, [chain])
    fastavro.writer(grown, tree, [branch])
    assert validate(out.getvalue()).record_count == validate(grown.getvalue()).record_count == 1
