"""
Requests, responses, received messages and found objects: the history that a checker verifies.

Plain values, no I/O.
"""

from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """
    What a client knows after its last try.

    As in Jepsen, "don't know" is an answer of its own.
    """

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Answer:
    """
    One answer to one request; `status` is 0 when none came.

    `upload_id` and `key` are the receipt's.
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
        """Success once given stands; a refusal counts only if nothing before it was unclear."""
        if any(answer.status in {200, 201} for answer in self.answers):
            return Outcome.ACKNOWLEDGED
        if self.answers and all(
            400 <= answer.status < 500 and answer.status != 409 for answer in self.answers
        ):
            return Outcome.REFUSED
        return Outcome.UNKNOWN


@dataclass(frozen=True, slots=True)
class Row:
    """An upload as the database has it."""

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
    """The most that was seen of something that is limited."""

    what: str
    value: float
    limit: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """
    All there is to validate after heal and drain.

    `objects` maps keys to the SHA-256 of the bytes found there; `unfinished_puts` are keys of
    objects that were begun in parts and neither completed nor aborted.
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
