"""Composes the upload API: ports, health checks, rate limits and connection limits."""

from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from time import monotonic
from typing import Final

from healthingest_contract.environment import CACHE_URL, IDENTITY_SIGNING_KEYS, SCHEMAS_FOLDER
from healthingest_service.adapters.avro_validation.pool import open_gate
from healthingest_service.adapters.database.accounts import DatabaseAccounts
from healthingest_service.adapters.database.enrolment_codes import DatabaseEnrolmentCodes
from healthingest_service.adapters.database.mails import DatabaseMailTokens
from healthingest_service.adapters.database.memberships import DatabaseGroupRoles
from healthingest_service.adapters.database.outcomes import DatabaseOutcomes
from healthingest_service.adapters.database.sessions import DatabaseSessions
from healthingest_service.adapters.database.studies import DatabaseStudies
from healthingest_service.adapters.database.study_uploads import DatabaseStudyUploads
from healthingest_service.adapters.key_file import read_or_make
from healthingest_service.adapters.memory_limiter import MemoryLimiter, MemoryLoginThrottle
from healthingest_service.adapters.password_pool import PasswordPool, open_password_pool
from healthingest_service.adapters.redis import open_redis
from healthingest_service.adapters.spool import DiskSpool
from healthingest_service.adapters.tcp_probe import probe
from healthingest_service.api.api_dependencies import (
    ApiDependencies,
    BodyRules,
    Documentation,
    Rules,
)
from healthingest_service.api.connection import ConnectionRules
from healthingest_service.api.download_slots import DownloadSlots
from healthingest_service.api.request_parser import HeadLimits
from healthingest_service.api.upload_slots import UploadSlots
from healthingest_service.audit.model import Action, Outcome
from healthingest_service.audit.recorder import AuditRecorder, EventDetails
from healthingest_service.audit.refusal_budget import RefusalBudget
from healthingest_service.health.board import Check, HealthBoard
from healthingest_service.identity.access_tokens import AccessTokens, SigningKeys, new_key_pem
from healthingest_service.identity.account_mails import AccountMails
from healthingest_service.identity.account_service import AccountService
from healthingest_service.identity.auth_service import AuthService, Lifetimes
from healthingest_service.identity.bearer_tokens import BearerTokens
from healthingest_service.identity.device_access import DeviceTokens
from healthingest_service.identity.device_enrolment import DeviceEnrolment
from healthingest_service.identity.fallback_limiter import (
    FallbackLimiter,
    FallbackThrottle,
    SharedCounters,
)
from healthingest_service.identity.model import Principal
from healthingest_service.identity.ports import Accounts, LoginThrottle, RateLimiter
from healthingest_service.identity.provider_login import ProviderLogin
from healthingest_service.identity.recovery import AccountRecovery
from healthingest_service.identity.throttling import (
    GUESSING_DIVISOR,
    LOGINS,
    Backoff,
    LoginRules,
    Rate,
    Rule,
)
from healthingest_service.main.decorators import Decorators, UploadPorts
from healthingest_service.main.device_tokens import open_device_tokens
from healthingest_service.main.erasure import make_erasures
from healthingest_service.main.mail import make_mails
from healthingest_service.main.providers import open_providers, provider_checks
from healthingest_service.main.resumable import make_receive_in_parts
from healthingest_service.main.row_security import report_row_security
from healthingest_service.main.runtime import (
    Runtime,
    Store,
    Work,
    data_folder,
    reveal,
    utc_now,
)
from healthingest_service.main.tls_files import as_settings_error, cache_tls_material
from healthingest_service.settings import InvalidSettingsError, Settings
from healthingest_service.studies.enrolment import EnrolSubject
from healthingest_service.studies.group_roles import FollowGroups
from healthingest_service.studies.ports import Studies
from healthingest_service.uploads.accept import AcceptUpload
from healthingest_service.uploads.content import ReadUpload
from healthingest_service.uploads.disclosures import ListDisclosures
from healthingest_service.uploads.errors import UnavailableError
from healthingest_service.uploads.outcomes import ReportOutcome
from healthingest_service.uploads.receive_in_parts import ReceiveInParts

VERSION: Final = "0.1.0"
_PROBE_SECONDS: Final = 1.0
_METRICS_CONNECTIONS: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiPorts:
    """The opened use cases and ports of the API, and their health checks."""

    accept: AcceptUpload
    resumable: ReceiveInParts
    studies: Studies
    content: ReadUpload
    auth: AuthService
    bearer: BearerTokens
    provider_login: ProviderLogin
    account: AccountService
    devices: DeviceTokens
    mails: AccountMails
    recovery: AccountRecovery
    limiter: RateLimiter
    passwords: PasswordPool
    audit: AuditRecorder
    checks: tuple[Check, ...]
    work: tuple[Work, ...]


async def open_api_ports(
    runtime: Runtime,
    stack: AsyncExitStack,
    store: Store,
    *,
    decorate: Decorators,
    checks_broker: bool,
) -> ApiPorts:
    """Open the ports of the API; *checks_broker* adds a check of the broker's port."""
    studies = DatabaseStudies(
        runtime.engine,
        timeout_seconds=runtime.settings.database.timeout_seconds,
        hidden=runtime.keys_of_erasure.hidden,
    )
    accept, resumable, content, spool_check = await _open_accept(
        runtime, stack, store, studies, decorate
    )
    counters = await _open_counters(runtime, stack)
    identity = runtime.settings.identity
    passwords = await stack.enter_async_context(
        open_password_pool(threads=identity.password_threads, queue_limit=identity.password_queue)
    )
    services = _make_identity_services(runtime, passwords, counters.throttle)
    broker_checks = _broker_checks(runtime.settings) if checks_broker else ()
    providers = await open_providers(runtime.settings, stack)
    devices, work = open_device_tokens(runtime)
    audit = AuditRecorder(runtime.audit, runtime.audit, clock=utc_now)
    groups = FollowGroups(
        providers.group_rules,
        DatabaseGroupRoles(
            runtime.engine, timeout_seconds=runtime.settings.database.timeout_seconds
        ),
        clock=utc_now,
    )
    return ApiPorts(
        accept=accept,
        resumable=resumable,
        bearer=BearerTokens(
            services.auth,
            devices=devices,
            providers=providers.by_url,
            accounts=services.accounts,
            account_cache=Lifetimes().session_cache,
            clock=utc_now,
            groups=groups,
            on_login=partial(_record_login, audit),
        ),
        provider_login=ProviderLogin(
            providers=providers.for_sign_in,
            exchange=providers.exchange,
            accounts=services.accounts,
            auth=services.auth,
            groups=groups,
            longest=timedelta(seconds=runtime.settings.oidc.session_seconds),
        ),
        audit=audit,
        auth=services.auth,
        account=services.account,
        devices=devices,
        mails=make_mails(runtime),
        recovery=services.recovery,
        studies=studies,
        content=content,
        limiter=counters.limiter,
        passwords=passwords,
        checks=(spool_check, *counters.checks, *broker_checks, *provider_checks(providers)),
        work=(*work, *report_row_security(runtime)),
    )


async def _record_login(audit: AuditRecorder, principal: Principal) -> None:
    details = EventDetails(account_id=principal.account_id, token_id=principal.token_id)
    await audit.by_client(Action.LOGIN, Outcome.DONE, details)


def api_dependencies(runtime: Runtime, ports: ApiPorts, health: HealthBoard) -> ApiDependencies:
    """Return the dependencies of the routes."""
    settings = runtime.settings
    limits = settings.limits
    study_uploads = DatabaseStudyUploads(
        runtime.engine, timeout_seconds=settings.database.timeout_seconds
    )
    outcomes = DatabaseOutcomes(runtime.engine, timeout_seconds=settings.database.timeout_seconds)
    return ApiDependencies(
        accept=ports.accept,
        resumable=ports.resumable,
        ledger=runtime.ledger,
        studies=ports.studies,
        erasures=make_erasures(runtime),
        erasure_keys=runtime.keys_of_erasure,
        study_uploads=study_uploads,
        auth=ports.auth,
        bearer=ports.bearer,
        provider_login=ports.provider_login,
        account=ports.account,
        devices=ports.devices,
        enrolment=DeviceEnrolment(
            DatabaseEnrolmentCodes(
                runtime.engine, timeout_seconds=settings.database.timeout_seconds
            ),
            clock=utc_now,
        ),
        mails=ports.mails,
        recovery=ports.recovery,
        limiter=ports.limiter,
        is_password_queue_full=lambda: ports.passwords.is_full,
        health=health,
        metrics=runtime.metrics,
        tracing=runtime.tracing,
        rules=Rules(
            uploads=Rule("uploads", Rate.parse(limits.uploads)),
            requests=Rule("requests", Rate.parse(limits.requests)),
            logins=Rule(LOGINS, Rate.parse(limits.logins), GUESSING_DIVISOR),
            refreshes=Rule("refreshes", Rate.parse(limits.refreshes)),
            registrations=Rule("registrations", Rate.parse(limits.registrations), GUESSING_DIVISOR),
            redemptions=Rule("redemptions", Rate.parse(limits.logins), GUESSING_DIVISOR),
            mails_per_address=Rule(
                "mails-per-address", Rate.parse(limits.mails_per_address), GUESSING_DIVISOR
            ),
            mails_per_account=Rule(
                "mails-per-account", Rate.parse(limits.mails_per_account), GUESSING_DIVISOR
            ),
        ),
        body=BodyRules(
            max_file_bytes=limits.max_file_size_bytes,
            stall_seconds=settings.server.body_stall_seconds,
            min_bytes_per_second=settings.server.body_min_bytes_per_second,
            deadline_seconds=settings.server.body_deadline_seconds,
        ),
        upload_slots=UploadSlots(
            per_account=limits.uploads_at_once_per_account,
            per_address=limits.uploads_at_once_per_address,
        ),
        content=ports.content,
        outcomes=outcomes,
        report_outcome=ReportOutcome(
            ledger=runtime.ledger, studies=ports.studies, outcomes=outcomes, clock=utc_now
        ),
        audit=ports.audit,
        audit_reader=runtime.audit,
        disclosures=ListDisclosures(runtime.audit, study_uploads),
        refusals=RefusalBudget(
            per_minute=settings.audit_log.refusals_per_minute, monotonic=monotonic
        ),
        subject_hashes=runtime.subject_hashes,
        download_slots=DownloadSlots(
            per_account=limits.downloads_at_once_per_account, total=limits.downloads_at_once
        ),
        trusted_proxies=settings.server.trusted_proxies,
        max_concurrency=settings.server.max_concurrency,
        documentation=documentation(settings),
        page_session=(
            timedelta(seconds=settings.identity.page_session_seconds) if settings.http.ui else None
        ),
        version=VERSION,
        public_url=settings.mail.public_url,
        lock_days=settings.store.lock_days,
        clock=utc_now,
    )


def documentation(settings: Settings) -> Documentation:
    """
    Return which of `/openapi.json` and `/docs` are served.

    Raises:
        InvalidSettingsError: `/docs` is enabled without `/openapi.json`.
    """
    http = settings.http
    is_installation = settings.secrets_dir is not None
    docs = not is_installation if http.docs is None else http.docs
    openapi = docs if http.openapi is None else http.openapi
    if docs and not openapi:
        if http.docs:
            message = "HEALTHINGEST_HTTP__DOCS: needs HEALTHINGEST_HTTP__OPENAPI, which is false"
            raise InvalidSettingsError(message)
        docs = False
    return Documentation(openapi=openapi, docs=docs)


def connection_rules(settings: Settings) -> ConnectionRules:
    """Return the limits of connections to the public port."""
    http = settings.http
    return ConnectionRules(
        head=HeadLimits(
            head_bytes=http.max_head_bytes,
            header_fields=http.max_header_fields,
            url_bytes=http.max_url_bytes,
            trailer_bytes=http.max_trailer_bytes,
        ),
        head_seconds=http.head_seconds,
        keep_alive_seconds=http.keep_alive_seconds,
        linger_seconds=http.linger_seconds,
        max_connections=http.max_connections,
        max_connections_per_address=http.max_connections_per_address,
        trusted_proxies=settings.server.trusted_proxies,
    )


def metrics_connection_rules(settings: Settings) -> ConnectionRules:
    """Return the same rules with fewer connections, for the metrics port."""
    return replace(connection_rules(settings), max_connections=_METRICS_CONNECTIONS)


async def _open_accept(
    runtime: Runtime, stack: AsyncExitStack, store: Store, studies: Studies, decorate: Decorators
) -> tuple[AcceptUpload, ReceiveInParts, ReadUpload, Check]:
    settings = runtime.settings
    limits = settings.limits
    max_bytes = settings.spool.max_bytes or settings.spool.files * limits.max_file_size_bytes
    spool = DiskSpool(settings.spool.folder or data_folder(settings) / "spool", max_bytes=max_bytes)
    runtime.metrics.watch_spool(lambda: max_bytes - spool.free_bytes, max_bytes)

    with suppress(UnavailableError):  # the first body tries again
        await spool.prepare()
    opening = open_gate(
        workers=settings.gate.workers,
        memory_limit_bytes=settings.gate.memory_limit_bytes,
        stall_seconds=settings.gate.stall_seconds,
        schemas_mode=settings.schemas.mode,
        schemas_folder=settings.schemas.folder,
        limits=settings.gate.limits(),
    )
    with as_settings_error(SCHEMAS_FOLDER):
        gate = await stack.enter_async_context(opening)
    ports = decorate.upload(
        UploadPorts(ledger=runtime.ledger, store=store.port, gate=gate, spool=spool)
    )
    accept = AcceptUpload(
        ledger=ports.ledger,
        store=ports.store,
        gate=ports.gate,
        spool=ports.spool,
        bucket=store.bucket,
        max_file_bytes=limits.max_file_size_bytes,
        lease_seconds=limits.upload_lease_seconds,
        clock=utc_now,
        enrol=EnrolSubject(studies, clock=utc_now),
        subject_hashes=runtime.subject_hashes,
        span=runtime.tracing.span,
    )
    content = ReadUpload(ledger=ports.ledger, store=ports.store, studies=studies)
    resumable = make_receive_in_parts(runtime, store, ports.spool, accept, decorate)
    return accept, resumable, content, Check("spool", spool.check, required=True)


@dataclass(frozen=True, slots=True)
class _IdentityServices:
    accounts: Accounts
    auth: AuthService
    account: AccountService
    recovery: AccountRecovery


def _make_identity_services(
    runtime: Runtime, passwords: PasswordPool, throttle: LoginThrottle
) -> _IdentityServices:
    identity = runtime.settings.identity
    timeout_seconds = runtime.settings.database.timeout_seconds
    pem = reveal(identity.signing_keys) or read_or_make(
        data_folder(runtime.settings) / "signing-key.pem", new_key_pem
    )
    with as_settings_error(IDENTITY_SIGNING_KEYS):
        keys = SigningKeys.from_pem(pem)
    accounts = DatabaseAccounts(runtime.engine, passwords, timeout_seconds=timeout_seconds)
    sessions = DatabaseSessions(runtime.engine, timeout_seconds=timeout_seconds)
    auth = AuthService(
        accounts=accounts,
        sessions=sessions,
        access_tokens=AccessTokens(
            keys=keys,
            issuer=identity.issuer,
            audience=identity.audience,
            lifetime=timedelta(seconds=identity.access_token_seconds),
        ),
        throttle=throttle,
        registration=identity.registration,
        lifetimes=Lifetimes(
            refresh=timedelta(days=identity.refresh_token_days),
            session=timedelta(days=identity.session_days),
        ),
        clock=utc_now,
    )
    account = AccountService(
        accounts=accounts, sessions=sessions, auth=auth, throttle=throttle, clock=utc_now
    )
    tokens = DatabaseMailTokens(runtime.engine, timeout_seconds=timeout_seconds)
    recovery = AccountRecovery(accounts=accounts, tokens=tokens, auth=auth, clock=utc_now)
    return _IdentityServices(accounts, auth, account, recovery)


@dataclass(frozen=True, slots=True)
class _Counters:
    limiter: RateLimiter
    throttle: LoginThrottle
    checks: tuple[Check, ...] = ()


async def _open_counters(runtime: Runtime, stack: AsyncExitStack) -> _Counters:
    cache = runtime.settings.cache
    rules = _login_rules(runtime.settings)
    if cache.url is None:
        return _Counters(MemoryLimiter(), MemoryLoginThrottle(rules))
    opening = open_redis(
        cache.url.get_secret_value(),
        rules,
        timeout_seconds=cache.timeout_seconds,
        tls=cache_tls_material(runtime.settings),
    )
    with as_settings_error(CACHE_URL):
        limiter, throttle = await stack.enter_async_context(opening)
    shared = SharedCounters(
        clock=monotonic,
        pause_seconds=cache.pause_seconds,
        on_degraded=lambda rule: runtime.metrics.limiter_degraded.labels(rule).inc(),
    )
    alone = MemoryLoginThrottle(rules.alone())
    return _Counters(
        FallbackLimiter(shared, limiter, MemoryLimiter()),
        FallbackThrottle(shared, throttle, alone),
        (Check("cache", limiter.check, required=False),),
    )


def _login_rules(settings: Settings) -> LoginRules:
    limits = settings.limits
    max_seconds = limits.login_delay_seconds_max
    first_seconds = min(1.0, max_seconds)
    return LoginRules(
        device=Backoff(limits.login_failures_per_device, first_seconds, max_seconds),
        account=Backoff(limits.login_failures_per_account, first_seconds, first_seconds),
        address=Backoff(limits.login_failures_per_address, first_seconds, first_seconds),
        memory_seconds=limits.login_failure_memory_seconds,
        known_device_seconds=settings.identity.refresh_token_days * 86_400,
    )


def _broker_checks(settings: Settings) -> tuple[Check, ...]:
    endpoint = settings.broker.endpoint
    if endpoint is None:
        return ()
    host, _, port = endpoint.rpartition(":")

    async def listens() -> None:
        await probe(host.strip("[]"), int(port), timeout_seconds=_PROBE_SECONDS)

    return (Check("broker", listens, required=False),)
