"""The dependencies of the API; `main` creates them and passes them to `create_app`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from healthingest_service.api.download_slots import DownloadSlots
from healthingest_service.api.pace import Pace
from healthingest_service.api.upload_slots import UploadSlots
from healthingest_service.audit.ports import AuditReader
from healthingest_service.audit.recorder import AuditRecorder
from healthingest_service.audit.refusal_budget import RefusalBudget
from healthingest_service.audit.subjects import SubjectHashes
from healthingest_service.erasure.keys import ErasureKeys
from healthingest_service.erasure.ports import Erasures
from healthingest_service.health.board import HealthBoard
from healthingest_service.identity.account_mails import AccountMails
from healthingest_service.identity.account_service import AccountService
from healthingest_service.identity.auth_service import AuthService
from healthingest_service.identity.bearer_tokens import BearerTokens
from healthingest_service.identity.client_address import Network
from healthingest_service.identity.device_access import DeviceTokens
from healthingest_service.identity.device_enrolment import DeviceEnrolment
from healthingest_service.identity.ports import RateLimiter
from healthingest_service.identity.provider_login import ProviderLogin
from healthingest_service.identity.recovery import AccountRecovery
from healthingest_service.identity.throttling import Rule
from healthingest_service.studies.ports import Studies
from healthingest_service.telemetry.metrics import Metrics
from healthingest_service.telemetry.tracing import Tracing
from healthingest_service.uploads.accept import UploadRequest
from healthingest_service.uploads.content import ReadUpload
from healthingest_service.uploads.disclosures import ListDisclosures
from healthingest_service.uploads.model import Accepted
from healthingest_service.uploads.outcomes import Outcomes, ReportOutcome
from healthingest_service.uploads.ports import Ledger
from healthingest_service.uploads.receive_in_parts import ReceiveInParts
from healthingest_service.uploads.study_uploads import StudyUploads


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The rate limits of the API."""

    uploads: Rule
    requests: Rule
    logins: Rule
    refreshes: Rule
    registrations: Rule
    redemptions: Rule
    mails_per_address: Rule
    mails_per_account: Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyRules:
    """Limits of a request body: size and transfer rate."""

    max_file_bytes: int
    stall_seconds: float
    min_bytes_per_second: int
    deadline_seconds: float

    def pace(self) -> Pace:
        """Return a new `Pace` for one body."""
        return Pace(
            window_seconds=self.stall_seconds,
            min_bytes_per_second=self.min_bytes_per_second,
            deadline_seconds=self.deadline_seconds,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Documentation:
    """Whether the API serves `/openapi.json` and the page `/docs`."""

    openapi: bool
    docs: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiDependencies:
    """The use cases, ports and limits that the routes use."""

    accept: Callable[[UploadRequest], Awaitable[Accepted]]
    resumable: ReceiveInParts
    ledger: Ledger
    studies: Studies
    erasures: Erasures
    erasure_keys: ErasureKeys
    study_uploads: StudyUploads
    auth: AuthService
    bearer: BearerTokens
    provider_login: ProviderLogin
    account: AccountService
    devices: DeviceTokens
    enrolment: DeviceEnrolment
    mails: AccountMails
    recovery: AccountRecovery
    limiter: RateLimiter
    is_password_queue_full: Callable[[], bool]
    health: HealthBoard
    metrics: Metrics
    tracing: Tracing
    rules: Rules
    body: BodyRules
    upload_slots: UploadSlots
    content: ReadUpload
    outcomes: Outcomes
    report_outcome: ReportOutcome
    audit: AuditRecorder
    audit_reader: AuditReader
    disclosures: ListDisclosures
    refusals: RefusalBudget
    subject_hashes: SubjectHashes
    download_slots: DownloadSlots
    trusted_proxies: tuple[Network, ...]
    max_concurrency: int
    documentation: Documentation
    page_session: timedelta | None
    """How long a session of the page lasts; None: the page is not served."""
    version: str
    public_url: str | None
    lock_days: int
    clock: Callable[[], datetime]
