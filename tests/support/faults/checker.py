"""
Checks a history as Jepsen's total queue: each input has its output, and nothing else.

Source of the classes: https://github.com/jepsen-io/jepsen, `checker/total-queue`. Check a history
only after everything was repaired and announced.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from support.faults.history import Attempt, Evidence, Outcome

File = tuple[str, str]
"""Owner and SHA-256: the identity of an upload."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Files by class. Valid is: nothing lost, nothing unexpected, no invariant broken."""

    attempted: frozenset[File]
    acknowledged: frozenset[File]
    lost: frozenset[File]
    unexpected: frozenset[File]
    duplicated: int
    recovered: frozenset[File]
    broken: tuple[str, ...]

    @property
    def is_valid(self) -> bool:
        """Whether the promise held."""
        return not (self.lost or self.unexpected or self.broken)

    def faults(self) -> list[str]:
        """Return a line for each violation."""
        wrong = list(self.broken) + [f"lost {sha256}" for _, sha256 in sorted(self.lost)]
        return wrong + [f"unexpected {sha256}" for _, sha256 in sorted(self.unexpected)]


def check_history(evidence: Evidence) -> CheckResult:
    """Sort the files into classes and check every invariant."""
    attempted = frozenset(_file(attempt) for attempt in evidence.attempts)
    acknowledged = _files(evidence, Outcome.ACKNOWLEDGED)
    unknown = _files(evidence, Outcome.UNKNOWN)
    heard = Counter((one.owner, one.sha256) for one in evidence.heard)
    return CheckResult(
        attempted=attempted,
        acknowledged=acknowledged,
        lost=acknowledged - heard.keys(),
        unexpected=frozenset(heard.keys() - acknowledged - unknown),
        duplicated=sum(count - 1 for count in heard.values()),
        recovered=(unknown - acknowledged) & heard.keys(),
        broken=tuple(
            f"{name}: {fault}" for name, check in INVARIANTS.items() for fault in check(evidence)
        ),
    )


def acknowledged_is_stored(evidence: Evidence) -> list[str]:
    """
    I1: every success has a row and an object with the sent bytes.

    The row has the state `stored` or later.
    """
    rows = {row.upload_id: row for row in evidence.rows}
    faults = []
    for attempt in evidence.attempts:
        for answer in attempt.answers:
            if answer.status not in {200, 201}:
                continue
            row = rows.get(answer.upload_id)
            if row is None or row.state not in {"stored", "announced"}:
                faults.append(f"{answer.upload_id} is not stored")
            elif row.key != answer.key or evidence.objects.get(answer.key) != attempt.sha256:
                faults.append(f"{answer.upload_id} has no object of its bytes")
            elif answer.file_hash != attempt.sha256:
                faults.append(f"{answer.upload_id} was receipted with another hash")
    return faults


def acknowledged_is_heard(evidence: Evidence) -> list[str]:
    """I2: every success reached the consumer, and no message waits."""
    heard = {one.upload_id for one in evidence.heard}
    ids = {
        answer.upload_id
        for one in evidence.attempts
        for answer in one.answers
        if answer.status in {200, 201}
    }
    faults = [f"{upload_id} was not heard of" for upload_id in sorted(ids - heard)]
    return faults + ([f"{evidence.waiting} messages wait"] if evidence.waiting else [])


def heard_is_stored(evidence: Evidence) -> list[str]:
    """I3: every message names an object with its hash, and the row has the same owner."""
    rows = {row.upload_id: row for row in evidence.rows}
    faults = []
    for one in evidence.heard:
        row = rows.get(one.upload_id)
        if evidence.objects.get(one.key) != one.sha256:
            faults.append(f"the message about {one.upload_id} leads to no object of its hash")
        if row is None or (row.owner, row.sha256, row.key) != (one.owner, one.sha256, one.key):
            faults.append(f"the message about {one.upload_id} has no row that says the same")
    return faults


def refused_leaves_nothing(evidence: Evidence) -> list[str]:
    """I4: a refused file has no row, no object, no part of an object and no message."""
    refused = _files(evidence, Outcome.REFUSED) - _files(evidence, Outcome.ACKNOWLEDGED)
    refused -= _files(evidence, Outcome.UNKNOWN)
    hashes = {sha256 for _, sha256 in refused}
    faults = [
        f"{row.upload_id} was refused and has a row"
        for row in evidence.rows
        if (row.owner, row.sha256) in refused
    ]
    faults += [
        f"{key} was refused and is stored"
        for key, sha256 in evidence.objects.items()
        if sha256 in hashes
    ]
    faults += [
        f"{key} was refused and has parts"
        for key in evidence.unfinished_puts
        if any(one in key for one in hashes)
    ]
    return faults + [
        f"{one.key} was refused and announced"
        for one in evidence.heard
        if (one.owner, one.sha256) in refused
    ]


def repeats_are_one(evidence: Evidence) -> list[str]:
    """I5: a file that is sent repeatedly has one id, one row and one settled state."""
    faults = []
    ids = dict[File, set[str]]()
    for attempt in evidence.attempts:
        ids.setdefault(_file(attempt), set()).update(
            a.upload_id for a in attempt.answers if a.status in {200, 201}
        )
    faults += [
        f"{len(found)} ids for one file of {owner}"
        for (owner, _), found in ids.items()
        if len(found) > 1
    ]
    rows = Counter((row.owner, row.sha256) for row in evidence.rows)
    faults += [
        f"{count} rows for one file of {owner}" for (owner, _), count in rows.items() if count > 1
    ]
    return faults + [
        f"{row.upload_id} is still {row.state}" for row in evidence.rows if row.state == "storing"
    ]


def strangers_see_nothing(evidence: Evidence) -> list[str]:
    """I6: a request for another account's upload is answered as if it did not exist."""
    return [
        f"a stranger was answered {one.status}"
        for one in evidence.foreign_answers
        if one.status != 404
    ]


def limits_hold(evidence: Evidence) -> list[str]:
    """
    I7: everything that is limited stays below its limit.

    No multipart upload is open.
    """
    faults = [
        f"{one.what} reached {one.value:g} of {one.limit:g}"
        for one in evidence.peaks
        if one.value > one.limit
    ]
    return faults + [f"{key} is still being put in parts" for key in evidence.unfinished_puts]


def recovery_is_quick(evidence: Evidence) -> list[str]:
    """I8: everything is announced within the limit after the repair."""
    if evidence.recovery_seconds <= evidence.recovery_limit_seconds:
        return []
    return [f"drained after {evidence.recovery_seconds:.1f} s"]


INVARIANTS: dict[str, Callable[[Evidence], list[str]]] = {
    "I1": acknowledged_is_stored,
    "I2": acknowledged_is_heard,
    "I3": heard_is_stored,
    "I4": refused_leaves_nothing,
    "I5": repeats_are_one,
    "I6": strangers_see_nothing,
    "I7": limits_hold,
    "I8": recovery_is_quick,
}


def _file(attempt: Attempt) -> File:
    return attempt.owner, attempt.sha256


def _files(evidence: Evidence, outcome: Outcome) -> frozenset[File]:
    return frozenset(_file(attempt) for attempt in evidence.attempts if attempt.outcome is outcome)
