"""
The check_history is validated on made-up histories.

Each broken promise is seen, and a kept one is not doubted.
"""

from dataclasses import replace

import pytest

from support.faults.checker import INVARIANTS, check_history
from support.faults.history import Answer, Attempt, Evidence, Heard, Peak, Row

OK = Answer(201, "u1", "k1", "h1")
GOOD = Evidence(
    attempts=(Attempt("ada", "h1", (OK,)), Attempt("ada", "h2", (Answer(422),))),
    rows=(Row("u1", "ada", "h1", "k1", "announced"),),
    objects={"k1": "h1"},
    heard=(Heard("u1", "ada", "h1", "k1"),),
    foreign_answers=(Answer(404),),
    peaks=(Peak("memory", 1, 2),),
)


def _broken(evidence: Evidence) -> set[str]:
    return {fault.partition(":")[0] for fault in check_history(evidence).broken}


def test_a_kept_promise_is_valid() -> None:
    """One acknowledged, one refused: nothing lost, nothing unexpected, nothing broken."""
    result = check_history(GOOD)
    assert result.is_valid
    assert (len(result.attempted), len(result.acknowledged), result.duplicated) == (2, 1, 0)


def test_silence_after_success_is_a_loss() -> None:
    """Acknowledged and never heard of."""
    result = check_history(replace(GOOD, heard=()))
    assert result.lost == {("ada", "h1")}
    assert not result.is_valid


def test_success_once_given_stands() -> None:
    """A later failure of a repeat does not take it back."""
    result = check_history(
        replace(GOOD, attempts=(Attempt("ada", "h1", (OK, Answer(503))),), heard=())
    )
    assert result.lost == {("ada", "h1")}


def test_a_message_that_nobody_asked_for_is_unexpected() -> None:
    """Another owner's, another hash's, or a refused file's."""
    for owner, sha256 in (("bob", "h1"), ("ada", "h3"), ("ada", "h2")):
        result = check_history(replace(GOOD, heard=(*GOOD.heard, Heard("u2", owner, sha256, "k2"))))
        assert result.unexpected == {(owner, sha256)}


@pytest.mark.parametrize("status", [0, 409, 500, 503])
def test_an_unclear_answer_may_go_either_way(status: int) -> None:
    """Heard of, it is recovered; else it is nothing. Neither is a fault."""
    attempts = (Attempt("ada", "h1", (Answer(status),)),)
    assert check_history(replace(GOOD, attempts=attempts)).recovered == {("ada", "h1")}
    nothing = replace(GOOD, attempts=attempts, rows=(), objects={}, heard=())
    assert check_history(nothing).is_valid
    assert check_history(nothing).recovered == frozenset()


def test_a_refusal_after_an_unclear_answer_is_unclear() -> None:
    """The first may have been stored."""
    assert check_history(
        replace(GOOD, attempts=(Attempt("ada", "h1", (Answer(0), Answer(422))),))
    ).is_valid


def test_duplicates_are_counted_and_no_fault() -> None:
    """At least once."""
    result = check_history(replace(GOOD, heard=GOOD.heard * 3))
    assert result.duplicated == 2
    assert result.is_valid


@pytest.mark.parametrize(
    ("names", "evidence"),
    [
        ({"I1"}, replace(GOOD, rows=(), heard=(), attempts=GOOD.attempts[:1])),
        ({"I1", "I5"}, replace(GOOD, rows=(replace(GOOD.rows[0], state="storing"),))),
        ({"I1", "I3"}, replace(GOOD, objects={})),
        ({"I1", "I3"}, replace(GOOD, objects={"k1": "other"})),
        (
            {"I1"},
            replace(GOOD, attempts=(Attempt("ada", "h1", (replace(OK, file_hash="other"),)),)),
        ),
        ({"I2"}, replace(GOOD, heard=())),
        ({"I2"}, replace(GOOD, waiting=1)),
        ({"I3"}, replace(GOOD, heard=(*GOOD.heard, replace(GOOD.heard[0], owner="bob")))),
        ({"I4"}, replace(GOOD, rows=(*GOOD.rows, Row("u2", "ada", "h2", "k2", "stored")))),
        ({"I4"}, replace(GOOD, objects={"k1": "h1", "k2": "h2"})),
        ({"I4", "I3"}, replace(GOOD, heard=(*GOOD.heard, Heard("u2", "ada", "h2", "k2")))),
        (
            {"I5", "I1", "I2"},
            replace(
                GOOD,
                attempts=(*GOOD.attempts, Attempt("ada", "h1", (replace(OK, upload_id="u2"),))),
            ),
        ),
        ({"I5"}, replace(GOOD, rows=(*GOOD.rows, Row("u2", "ada", "h1", "k2", "stored")))),
        ({"I6"}, replace(GOOD, foreign_answers=(Answer(200),))),
        ({"I6"}, replace(GOOD, foreign_answers=(Answer(403),))),
        ({"I7"}, replace(GOOD, peaks=(Peak("memory", 3, 2),))),
        ({"I7"}, replace(GOOD, peaks=(*GOOD.peaks, Peak("messages that wait", 20_001, 20_000)))),
        ({"I7"}, replace(GOOD, unfinished_puts=("raw/R/h1.avro",))),
        ({"I4", "I7"}, replace(GOOD, unfinished_puts=("raw/R/h2.avro",))),
        ({"I8"}, replace(GOOD, recovery_seconds=61)),
    ],
)
def test_each_invariant_sees_its_breach(names: set[str], evidence: Evidence) -> None:
    """Those, and, but for consequences, no others."""
    found = _broken(evidence)
    assert names <= found
    assert found <= names | {"I2"}


def test_the_result_has_all_faults() -> None:
    """There is a line for each fault, and no line for a correct history."""
    assert check_history(GOOD).faults() == []
    faults = check_history(replace(GOOD, heard=(Heard("u2", "bob", "h3", "k2"),))).faults()
    assert {"lost h1", "unexpected h3"} <= set(faults)
    assert any(fault.startswith("I2: ") for fault in faults)


def test_every_invariant_is_tried() -> None:
    """Eight of them."""
    assert list(INVARIANTS) == [f"I{number}" for number in range(1, 9)]
