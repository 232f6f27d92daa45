"""A schema that many files have is compiled once; what is kept of schemas is limited."""

import json
import tracemalloc

import pytest

from avrogate import Code, Gate, Policy, RefusedError, SchemaCache
from avrogate.schema_cache import MAX_PROGRAM_WORDS, MAX_SCHEMAS, MAX_TEXT_BYTES
from support.avro.encoding import file_of, long


def _schema(name: str, **more: object) -> dict[str, object]:
    return {"type": "record", "name": name, "fields": [{"name": "a", "type": "long"}], **more}


def _text(schema: object) -> bytes:
    return json.dumps(schema).encode()


def _wide(number: int, *, times: int) -> bytes:
    """Return a short schema with a long program: one record of 40 nodes, inlined many times."""
    fields = [{"name": f"f{index}", "type": ["null", "long"]} for index in range(20)]
    inner = {"type": "record", "name": f"Inner{number}", "fields": fields}
    others = [{"name": f"g{index}", "type": f"Inner{number}"} for index in range(times)]
    first = {"name": "first", "type": inner}
    return _text({"type": "record", "name": "Outer", "fields": [first, *others]})


def test_equal_bytes_are_compiled_once() -> None:
    """A schema with other bytes is another schema, even if it means the same."""
    cache = SchemaCache(Policy())
    text = _text(_schema("Pulse"))
    assert cache.compiled(text) is cache.compiled(bytes(text))
    assert cache.compiled(text + b" ") is not cache.compiled(text)


def test_the_schemas_used_last_are_kept() -> None:
    """One more than the most that are kept replaces the one that was not used for longest."""
    cache = SchemaCache(Policy())
    texts = [_text(_schema(f"Kind{number}")) for number in range(MAX_SCHEMAS + 1)]
    first, second, *others = texts[:-1]
    kept = [cache.compiled(text) for text in (first, second)]
    for text in (*others, first, texts[-1]):
        cache.compiled(text)
    assert cache.compiled(first) is kept[0]
    assert cache.compiled(second) is not kept[1]


@pytest.mark.parametrize(
    "text", [_text(_schema("Pulse", doc="x" * MAX_TEXT_BYTES)), _wide(0, times=100)]
)
def test_a_large_schema_is_not_kept(text: bytes) -> None:
    """Neither a long text, nor a short one with a long program."""
    cache = SchemaCache(Policy())
    first = cache.compiled(text)
    assert len(text) > MAX_TEXT_BYTES or len(first.program.words) > MAX_PROGRAM_WORDS
    assert cache.compiled(text) is not first


def test_a_full_cache_needs_little_memory() -> None:
    """The largest schemas that are kept need less than 32 MiB together."""
    cache = SchemaCache(Policy())
    texts = [_wide(number, times=80) for number in range(MAX_SCHEMAS)]
    tracemalloc.start()
    try:
        compiled = [cache.compiled(text) for text in texts]
        kept_bytes = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert [cache.compiled(text) for text in texts] == compiled
    assert cache.compiled(texts[0]) is compiled[0]
    assert kept_bytes < 32 * 1024 * 1024


def test_an_invalid_schema_is_refused_each_time() -> None:
    """A refusal is not kept, and breaks nothing."""
    cache = SchemaCache(Policy())
    for _ in range(2):
        with pytest.raises(RefusedError):
            cache.compiled(b'{"type": "record"}')


def test_the_policy_is_asked_for_each_file() -> None:
    """A kept schema that is not allowed is refused, and the gate still says which it was."""
    policy = Policy(record_types=frozenset({"Pulse"}))
    cache = SchemaCache(policy)
    for _ in range(2):
        gate = Gate(policy, cache)
        with pytest.raises(RefusedError) as refused:
            gate.feed(file_of(_schema("Steps"), [(1, long(1))]))
        assert refused.value.findings[0].code == Code.RECORD_TYPE_NOT_ALLOWED
        assert gate.so_far().record_type == "Steps"
