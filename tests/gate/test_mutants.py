"""Files that are nearly good: what is accepted is right, and both forms say the same of each."""

import os
import time
from typing import Any

import pytest

import avrogate
from avrogate import RefusedError
from support.avro.judging import judge
from support.avro.mutants import mutants, seeds
from support.avro.pure import pure
from support.avro.reference import count_records

SEED = int(os.environ.get("GATE_SEED", "20261124"))
MUTANTS = int(os.environ.get("GATE_MUTANTS", "20000"))
COMPARED = max(MUTANTS // 20, 1000)
VERDICT_SECONDS = 2.0
pytestmark = pytest.mark.timeout(120 + MUTANTS // 100)


def test_the_seeds_are_correct() -> None:
    """Else their mutants would show nothing."""
    assert [judge(seed).record_count for seed in seeds()] == [3] * len(seeds())
    assert [count_records(seed) for seed in seeds()] == [3] * len(seeds())


def test_no_mutant_is_wrongly_accepted() -> None:
    """Each that passes is read, and written again to the same bytes, by a reader that knows nothing of the gate."""
    accepted, wrong, slow = 0, [], []
    for number, mutant in enumerate(mutants(SEED, MUTANTS)):
        before = time.process_time()
        try:
            verdict = judge(mutant)
        except RefusedError:
            verdict = None
        if time.process_time() - before > VERDICT_SECONDS:
            slow.append(number)
        if verdict is None:
            continue
        accepted += 1
        try:
            same = count_records(mutant) == verdict.record_count
        except Exception:  # noqa: BLE001 - whatever it is, the reader could not read it
            same = False
        if not same:
            wrong.append((number, mutant.hex()))
    print(f"seed {SEED}: {MUTANTS} mutants, {accepted} accepted")  # noqa: T201 - shown when it fails
    assert (wrong, slow) == ([], [])


def test_both_forms_judge_mutants_alike() -> None:
    """The same verdict, or the same findings with the same places, however the file is cut into chunks."""
    other = pure()
    differing = []
    for number, mutant in enumerate(mutants(SEED + 1, COMPARED)):
        size = (1, 13, len(mutant) or 1)[number % 3]
        chunks = [mutant[start : start + size] for start in range(0, len(mutant), size)]
        if _answer(other, chunks) != _answer(avrogate, chunks):
            differing.append((number, mutant.hex()))
    print(f"seed {SEED + 1}: {COMPARED} mutants")  # noqa: T201 - shown when it fails
    assert differing == []


def _answer(gate: Any, chunks: list[bytes]) -> str:  # noqa: ANN401 - a module
    try:
        return str(gate.check(chunks, gate.Policy()))
    except gate.RefusedError as refused:
        return str(refused.findings)
