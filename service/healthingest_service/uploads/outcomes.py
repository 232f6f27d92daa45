"""What consumers report about an announced upload: it was processed, or this has failed."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from healthingest_service.identity.model import Principal
from healthingest_service.studies.model import DEFAULT_STUDY, NO_STANDING, StudySlug
from healthingest_service.studies.ports import Studies
from healthingest_service.uploads.errors import TooManyOutcomesError, UploadNotFoundError
from healthingest_service.uploads.model import Upload, UploadId, UploadState
from healthingest_service.uploads.permissions import may_report
from healthingest_service.uploads.ports import Ledger

MAX_OUTCOMES: Final = 10
"""Consumers that may report about an upload."""


class OutcomeState(StrEnum):
    """How a consumer has ended its work on an upload."""

    PROCESSED = "processed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerOutcome:
    """
    The newest report of a consumer about an upload.

    `consumer` and `reason` have the form of `outcome_codes`. `reported_at` is the time of the
    first report that said this.
    """

    consumer: str
    state: OutcomeState
    reason: str | None
    reported_at: datetime


class Outcomes(Protocol):
    """The outcomes of uploads. They end with the row of their upload."""

    async def report(self, upload_id: UploadId, outcome: ConsumerOutcome) -> ConsumerOutcome:
        """
        Store a report as `decided` says, and return what is stored; calling it twice is safe.

        Raises:
            UploadNotFoundError: the upload is not there, or it is being erased.
            TooManyOutcomesError: as many other consumers have reported as may.
            LedgerUnavailableError: the database gave no clear answer.
        """
        ...

    async def of(
        self, upload_ids: Collection[UploadId], *, study: StudySlug | None = None
    ) -> Mapping[UploadId, tuple[ConsumerOutcome, ...]]:
        """
        Return the outcomes of each of these uploads, by consumer; those of *study* if it is given.

        Raises:
            LedgerUnavailableError: the database cannot be read.
        """
        ...


def decided(kept: Sequence[ConsumerOutcome], reported: ConsumerOutcome) -> ConsumerOutcome:
    """
    Return the outcome that stays of a consumer: *reported*, or one of *kept*.

    `processed` is final, so a late report about an earlier attempt changes nothing.

    Raises:
        TooManyOutcomesError: *kept* has as many other consumers as may report.
    """
    before = next((one for one in kept if one.consumer == reported.consumer), None)
    if before is None:
        if len(kept) >= MAX_OUTCOMES:
            raise TooManyOutcomesError
        return reported
    is_same = (before.state, before.reason) == (reported.state, reported.reason)
    return before if is_same or before.state is OutcomeState.PROCESSED else reported


class ReportOutcome:
    """Finds an upload for a consumer, and stores its report."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        studies: Studies,
        outcomes: Outcomes,
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._studies = studies
        self._outcomes = outcomes
        self._clock = clock

    async def find(self, principal: Principal, upload_id: UploadId) -> Upload:
        """
        Return the upload *upload_id*.

        Raises:
            UploadNotFoundError: it does not exist, is not stored yet, or *principal* may not report
                about it; the error does not say which.
            LedgerUnavailableError, StudiesUnavailableError: the database cannot be read.
        """
        upload = None
        with suppress(UploadNotFoundError):
            upload = await self._ledger.find(upload_id)
        # As long as for a missing one, so that the time of the answer tells nothing.
        study = DEFAULT_STUDY if upload is None else upload.study
        access = await self._studies.access(principal.account_id, study)
        standing = NO_STANDING if access is None else access.standing
        if upload is None or not may_report(principal, upload, standing):
            raise UploadNotFoundError
        if upload.state is UploadState.STORING:
            raise UploadNotFoundError
        return upload

    async def __call__(
        self, upload: Upload, *, consumer: str, state: OutcomeState, reason: str | None
    ) -> ConsumerOutcome:
        """Store a report about an upload that `find` has returned; raises as `Outcomes.report`."""
        outcome = ConsumerOutcome(
            consumer=consumer, state=state, reason=reason, reported_at=self._clock()
        )
        return await self._outcomes.report(upload.id, outcome)
