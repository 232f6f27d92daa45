"""Claims, how they are measured, and whether a measured figure meets its goal; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

Figures = Mapping[str, float | None]
"""Figures by name; None could not be measured on this machine."""

SHORT_FORM: Final = 0.75
"""A short run must reach this share of a documented ratio: short runs vary by about a quarter."""


class State(StrEnum):
    """Whether a claim holds."""

    PASS = "pass"  # noqa: S105 - a state
    FAIL = "fail"
    SKIPPED = "SKIPPED"


@dataclass(frozen=True, slots=True)
class Goal:
    """A comparison with a figure."""

    compare: Literal["=", "≤", "≥"]
    value: float
    unit: str = ""

    def is_met(self, figure: float) -> bool:
        """Return whether *figure* meets the goal."""
        if self.compare == "=":
            return figure == self.value
        return figure <= self.value if self.compare == "≤" else figure >= self.value

    def __str__(self) -> str:
        return f"{self.compare} {shown(self.value)} {self.unit}".rstrip()


@dataclass(frozen=True, slots=True)
class Quote:
    """The text of a document that makes the claim."""

    document: str
    text: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim of a document, the figure that shows it, and the goal of the figure."""

    id: str
    text: str
    quotes: Sequence[Quote]
    measurement: str
    figure: str
    goal: Goal


@dataclass(frozen=True, slots=True)
class Measurement:
    """
    A program that writes figures, in its short form, or tests.

    The words of `command` follow those of Python. `{json}` in a word is replaced by the file of
    the figures, `{seed}` by the seed, and `{operator}` by an interpreter for the operator. Tests
    have the figures `passed`, `failed` and `skipped`. Without both it cannot be run here, for
    the reason in `elsewhere`. Nothing is measured beside one that `is_alone`, such as a speed.
    """

    id: str
    deadline_seconds: float
    command: Sequence[str] = ()
    tests: Sequence[str] = ()
    elsewhere: str = ""
    is_alone: bool = False

    @property
    def has_seed(self) -> bool:
        """Return whether a seed repeats it."""
        return any("{seed}" in word for word in self.command)


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What a measurement gave.

    Without figures, either `skipped` says why it could not be run, or `failed` what went wrong.
    """

    seconds: float
    figures: Figures | None = None
    skipped: str = ""
    failed: str = ""
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """A claim, whether it holds, the measured figure, and the reason without one."""

    claim: Claim
    state: State
    seconds: float
    measured: float | None = None
    reason: str = ""
    seed: int | None = None


def result_of(claim: Claim, outcome: Outcome) -> Result:
    """Return whether *claim* holds according to the outcome of its measurement."""

    def result(state: State, reason: str = "", measured: float | None = None) -> Result:
        return Result(claim, state, outcome.seconds, measured, reason, outcome.seed)

    if outcome.figures is None:
        if outcome.skipped:
            return result(State.SKIPPED, outcome.skipped)
        return result(State.FAIL, outcome.failed or "no figures")
    if claim.figure not in outcome.figures:
        return result(State.FAIL, f"no figure `{claim.figure}`")
    figure = outcome.figures[claim.figure]
    if figure is None:
        return result(State.SKIPPED, "cannot be measured on this machine")
    return result(State.PASS if claim.goal.is_met(figure) else State.FAIL, "", figure)


def outcome_of_tests(
    seconds: float, *, passed: int, failed: int, skipped: int, reason: str
) -> Outcome:
    """Return the outcome of tests; *reason* is that of the first one that was skipped."""
    if passed + failed == 0:
        if skipped:
            return Outcome(seconds, skipped=reason)
        return Outcome(seconds, failed="no test was run")
    figures = {"passed": passed, "failed": failed, "skipped": skipped}
    return Outcome(seconds, {name: float(count) for name, count in figures.items()})


def shown(value: float) -> str:
    """Return *value* as text with at most three significant digits after a thousand."""
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
