"""Files with small changes: what is accepted is valid, and both forms give the same result."""

import os
from typing import Any

import pytest

import avrogate
from avrogate import RefusedError
from support.avro.mutants import mutants, seeds
from support.avro.pure import pure
from support.avro.reference import count_records
from support.avro.validating import validate
from support.avro.working import work_of

SEED = int(os.environ.get("GATE_SEED", "20261124"))
MUTANTS = int(os.environ.get("GATE_MUTANTS", "20000"))
SHORT = 3000
COUNTS = [SHORT, pytest.param(MUTANTS, marks=pytest.mark.long)]
MOST_STEPS_PER_BYTE = 5
"""One byte that bzip2 inflates takes four steps; the walker takes less than one for each byte."""
FREE_STEPS = 100
pytestmark = pytest.mark.timeout(300 + MUTANTS // 50)  # a guard against hanging


def test_the_seeds_are_correct() -> None:
    """Otherwise their mutants would show nothing."""
    assert [validate(seed).record_count for seed in seeds()] == [3] * len(seeds())
    assert [count_records(seed) for seed in seeds()] == [3] * len(seeds())


@pytest.mark.parametrize("count", COUNTS)
def test_no_mutant_is_wrongly_accepted(count: int) -> None:
    """An independent reader reads each accepted mutant, and writes the same bytes again."""
    accepted = 0
    wrong = []
    for number, mutant in enumerate(mutants(SEED, count)):
        try:
            result = validate(mutant)
        except RefusedError:
            continue
        accepted += 1
        try:
            same = count_records(mutant) == result.record_count
        except Exception:  # noqa: BLE001 - whatever it is, the reader could not read it
            same = False
        if not same:
            wrong.append((number, mutant.hex()))
    print(f"seed {SEED}: {count} mutants, {accepted} accepted")  # noqa: T201 - shown when it fails
    assert wrong == []


@pytest.mark.parametrize("count", COUNTS)
def test_every_step_is_paid_for_by_bytes(count: int) -> None:
    """The steps for a mutant are limited by its inflated bytes."""
    costly = []
    for number, mutant in enumerate(mutants(SEED + 2, count)):
        _, work = work_of(mutant)
        if work.steps > MOST_STEPS_PER_BYTE * work.inflated_bytes + FREE_STEPS:
            costly.append((number, work, mutant.hex()))
    assert costly == []


@pytest.mark.parametrize("count", COUNTS)
def test_both_forms_validate_mutants_alike(count: int) -> None:
    """For any chunks, result or findings are the same, and so is the work."""
    other = pure()
    differing = []
    compared = max(count // 20, 1000)
    for number, mutant in enumerate(mutants(SEED + 1, compared)):
        size = (1, 13, len(mutant) or 1)[number % 3]
        chunks = [mutant[start : start + size] for start in range(0, len(mutant), size)]
        if _answer(other, chunks) != _answer(avrogate, chunks):
            differing.append((number, mutant.hex()))
    print(f"seed {SEED + 1}: {compared} mutants")  # noqa: T201 - shown when it fails
    assert differing == []


@pytest.mark.parametrize("count", COUNTS)
def test_a_shared_cache_changes_no_answer(count: int) -> None:
    """Gates that share their schemas answer as gates that share nothing."""
    schemas = avrogate.SchemaCache(avrogate.Policy())
    differing = []
    compared = max(count // 20, 1000)
    for number, mutant in enumerate(mutants(SEED + 2, compared)):
        if _answer(avrogate, [mutant], schemas) != _answer(avrogate, [mutant]):
            differing.append((number, mutant.hex()))
    print(f"seed {SEED + 2}: {compared} mutants")  # noqa: T201 - shown when it fails
    assert differing == []


def _answer(
    gate: Any,  # noqa: ANN401 - a module
    chunks: list[bytes],
    schemas: avrogate.SchemaCache | None = None,
) -> str:
    validator = gate.Gate(gate.Policy(), schemas)
    try:
        for chunk in chunks:
            validator.feed(chunk)
        answer = str(validator.finish())
    except gate.RefusedError as refused:
        answer = str(refused.findings)
    return f"{answer} {validator.work()}"
