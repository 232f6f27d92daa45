"""Settings of kopf."""

import asyncio
import itertools
import types
from collections.abc import Callable, Iterator
from typing import Any, Final

import aiohttp
import kopf

from healthingest_contract.conditions import API_GROUP
from healthingest_operator.runtime.leadership import Fence
from healthingest_operator.runtime.watches import WATCH_SECONDS, Watches

LONGEST_PAUSE_SECONDS: Final = 30.0


class NothingRemembered(kopf.DiffBaseStorage):
    """Stores no copy of a manifest in its annotations: reconciliation is level-triggered."""

    def fetch(self, *, body: kopf.Body) -> None:
        """Return nothing: no earlier manifest is stored."""
        del body

    # ANN401: kopf's own type
    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: Any) -> None:  # noqa: ANN401
        """Store nothing."""
        del body, patch, essence


class Backoffs:
    """
    An endless sequence of pauses, in seconds, between the attempts of one request.

    After a last attempt kopf would stop the operator, even if only one namespace is forbidden. Each
    watch retries until its namespace exists and is allowed, which it notices within
    `LONGEST_PAUSE_SECONDS`.
    """

    def __iter__(self) -> Iterator[float]:
        """Yield the pauses of one request."""
        return itertools.chain((1, 1, 2, 3, 5, 8, 13, 21), itertools.repeat(LONGEST_PAUSE_SECONDS))


def operator_settings(request_timeout_seconds: float) -> kopf.OperatorSettings:
    """Return kopf's settings: no event posting, no scanning, a timeout on every request."""
    settings = kopf.OperatorSettings()
    settings.persistence.finalizer = f"{API_GROUP}/cleanup"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=API_GROUP)
    settings.persistence.diffbase_storage = NothingRemembered()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    # kopf would kill the process ten minutes after it has stopped. Here the process continues and
    # may become the leader again.
    settings.process.ultimate_exiting_timeout = None
    settings.networking.request_timeout = request_timeout_seconds
    settings.networking.connect_timeout = request_timeout_seconds
    settings.networking.enforce_retry_after = True
    settings.networking.error_backoffs = Backoffs()
    settings.execution.default_backoff = 5
    # A list of a thousand HealthIngests would take a fifth of the operator's memory, which the
    # process never returns.
    settings.watching.chunk_size = 50
    settings.queueing.idle_timeout = 0.1
    settings.watching.server_timeout = WATCH_SECONDS
    return settings


def register(
    registry: kopf.OperatorRegistry,
    watches: Watches,
    check: Fence,
    read_access: Callable[[], kopf.ConnectionInfo],
) -> None:
    """
    Register a login handler that uses the credentials of *read_access*, which may read files.

    *check* is called before every write.
    """

    @kopf.on.login(registry=registry)
    async def login(**_: object) -> kopf.AiohttpSession:
        return _session(await asyncio.to_thread(read_access), watches, check)


def _session(found: kopf.ConnectionInfo, watches: Watches, check: Fence) -> kopf.AiohttpSession:
    """Return a session like kopf's own, with request tracing; kopf closes it."""
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=found.as_ssl_context()),
        headers=found.as_http_headers(),
        proxy=found.proxy_url,
        trust_env=bool(found.trust_env),
        trace_configs=[watches.tracing(), _fencing(check)],
    )
    return kopf.AiohttpSession(
        server=found.server,
        default_namespace=found.default_namespace,
        expiration=found.expiration,
        aiohttp_session=session,
    )


def _fencing(check: Fence) -> aiohttp.TraceConfig:
    """Return a trace configuration that calls *check* before kopf's own writes of finalizers."""
    trace = aiohttp.TraceConfig()

    async def starts(
        _: aiohttp.ClientSession,
        __: types.SimpleNamespace,
        request: aiohttp.TraceRequestStartParams,
    ) -> None:
        if request.method != "GET":
            check()

    trace.on_request_start.append(starts)
    return trace
