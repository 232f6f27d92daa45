"""
Requests, responses, received messages and found objects: the history that a checker verifies.

Plain values, no I/O.
"""

from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """
    What a client knows after its last try.

    As in Jepsen, "don't know" is a possible outcome.
    """

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Answer:
    """
    One answer to one request; `status` is 0 if there was none.

    `upload_id` and `key` are those of the receipt.
    """

    status: int
    upload_id: str = ""
    key: str = ""
    file_hash: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One file of one owner, sent under one idempotency key until an answer was clear."""

    owner: str
    sha256: str
    answers: tuple[Answer, ...]

    @property
    def outcome(self) -> Outcome:
        """A success is final; a refusal counts only if no answer before it was unclear."""
        if any(answer.status in {200, 201} for answer in self.answers):
            return Outcome.ACKNOWLEDGED
        if self.answers and all(
            400 <= answer.status < 500 and answer.status != 409 for answer in self.answers
        ):
            return Outcome.REFUSED
        return Outcome.UNKNOWN


@dataclass(frozen=True, slots=True)
class Row:
    """An upload's row in the database."""

    upload_id: str
    owner: str
    sha256: str
    key: str
    state: str


@dataclass(frozen=True, slots=True)
class Heard:
    """One delivery to the consumer."""

    upload_id: str
    owner: str
    sha256: str
    key: str


@dataclass(frozen=True, slots=True)
class Peak:
    """The peak of something that is limited."""

    what: str
    value: float
    limit: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """
    Everything that is checked after repair, when no message waits.

    `objects` maps keys to the SHA-256 of their bytes; `unfinished_puts` are keys of multipart
    uploads that were neither completed nor aborted.
    """

    attempts: tuple[Attempt, ...]
    rows: tuple[Row, ...]
    objects: dict[str, str]
    heard: tuple[Heard, ...]
    unfinished_puts: tuple[str, ...] = ()
    waiting: int = 0
    foreign_answers: tuple[Answer, ...] = ()
    peaks: tuple[Peak, ...] = ()
    recovery_seconds: float = 0.0
    recovery_limit_seconds: float = field(default=60.0)
