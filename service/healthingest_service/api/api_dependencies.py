"""What the edge is connected to; made by `main`, handed to `create_app`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from healthingest_service.api.pace import Pace
from healthingest_service.api.upload_slots import UploadSlots
from healthingest_service.health.board import HealthBoard
from healthingest_service.identity.auth_service import AuthService
from healthingest_service.identity.client_address import Network
from healthingest_service.identity.ports import RateLimiter
from healthingest_service.identity.throttling import Rule
from healthingest_service.telemetry.metrics import Metrics
from healthingest_service.uploads.accept import UploadRequest
from healthingest_service.uploads.model import Accepted
from healthingest_service.uploads.ports import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The limits that are counted."""

    uploads: Rule
    requests: Rule
    logins: Rule
    refreshes: Rule
    registrations: Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyRules:
    """What a body may be, and how slow."""

    max_file_bytes: int
    stall_seconds: float
    min_bytes_per_second: int
    deadline_seconds: float

    def pace(self) -> Pace:
        """The pace of one body."""
        return Pace(
            window_seconds=self.stall_seconds,
            min_bytes_per_second=self.min_bytes_per_second,
            deadline_seconds=self.deadline_seconds,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Documentation:
    """
    Whether the API describes itself to anybody.

    To machines at `/openapi.json`, in a browser at `/docs`.
    """

    openapi: bool
    docs: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiDependencies:
    """Use cases, ports and rules."""

    accept: Callable[[UploadRequest], Awaitable[Accepted]]
    ledger: Ledger
    auth: AuthService
    limiter: RateLimiter
    is_password_queue_full: Callable[[], bool]
    health: HealthBoard
    metrics: Metrics
    rules: Rules
    body: BodyRules
    upload_slots: UploadSlots
    trusted_proxies: tuple[Network, ...]
    max_concurrency: int
    documentation: Documentation
    version: str
