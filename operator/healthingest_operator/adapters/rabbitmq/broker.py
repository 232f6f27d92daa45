"""
RabbitMQ's management HTTP API, and a check of the AMQP port.

Source: RabbitMQ docs, "HTTP API Reference".
"""

import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import quote

import aiohttp
from typing_extensions import override
from yarl import URL

from healthingest_operator.adapters.connection_errors import connection_error
from healthingest_operator.adapters.rabbitmq import requests
from healthingest_operator.adapters.rabbitmq.amqp import log_in, speak_amqp
from healthingest_operator.adapters.rabbitmq.answers import alarms, is_rabbitmq, place, refusal
from healthingest_operator.adapters.rabbitmq.fingerprints import Fingerprints
from healthingest_operator.adapters.rabbitmq.prepared import check_login, declare
from healthingest_operator.adapters.tls import aiohttp_tls
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.ports import Broker, BrokerAccess, BrokerUser
from healthingest_operator.reconcile.ttl_cache import TtlCache
from healthingest_operator.resources.prepared_topology import PreparedHost
from healthingest_operator.resources.topology import Binding, BindingKey, Login, Observed, Resource
from healthingest_operator.status import outside_causes as causes

_NOT_FOUND: Final = 404
_FIRST_ERROR: Final = 400
_ALARMED: Final = 503
_ALARMS: Final = "health/checks/alarms"


@asynccontextmanager
async def rabbitmq_broker(timeout_seconds: float) -> AsyncIterator["RabbitMQBroker"]:
    """Open one HTTP session for all brokers; *timeout_seconds* applies to each request."""
    timeout = aiohttp.ClientTimeout(total=timeout_seconds)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        yield RabbitMQBroker(session, timeout_seconds)


class RabbitMQBroker(Broker):
    """Implements the port `Broker`."""

    def __init__(self, session: aiohttp.ClientSession, timeout_seconds: float) -> None:
        self._session = session
        self._timeout_seconds = timeout_seconds
        self._fingerprints = Fingerprints(self._fetch, time.monotonic)
        self._checked = TtlCache()

    @override
    async def check(self, access: BrokerAccess) -> None:
        asked = (
            access.management_url,
            access.amqp_url,
            access.username,
            access.password,
            access.tls.fingerprint,
        )
        await self._checked.get(asked, time.monotonic(), lambda: self._check(access))

    @override
    async def log_in(self, access: BrokerAccess, virtual_host: str, login: Login) -> None:
        asked = (
            access.amqp_url,
            virtual_host,
            login.name,
            login.password,
            access.tls.fingerprint,
        )
        timeout = self._timeout_seconds
        await self._checked.get(
            asked, time.monotonic(), lambda: log_in(access, virtual_host, login, timeout)
        )

    async def _check(self, access: BrokerAccess) -> None:
        me = await self._get(access, "whoami")
        if me is None or "tags" not in me:
            raise DependencyError.of(causes.NOT_MANAGEMENT, where=place(access))
        tags = me["tags"] or []
        # A list since RabbitMQ 3.9, a comma-separated string before.
        if "administrator" not in (tags.split(",") if isinstance(tags, str) else tags):
            raise DependencyError.of(causes.NO_ADMINISTRATOR, user=access.username)
        await speak_amqp(access, self._timeout_seconds)
        status, text = await self._answer(access, "GET", _ALARMS, None)
        if status == _ALARMED:
            raise DependencyError.of(causes.BROKER_ALARM, where=place(access), alarms=alarms(text))

    @override
    async def observe(
        self, access: BrokerAccess, virtual_host: str, users: Sequence[str]
    ) -> Observed:
        live = await self._get(access, "vhosts", virtual_host)
        people = {user: await self._get(access, "users", user) for user in users}
        known = {user: found for user, found in people.items() if found is not None}
        if live is None:
            return Observed(users=known)
        bindings = await self._list(access, "bindings", virtual_host)
        return Observed(
            virtual_host=live,
            exchanges=_by_name(await self._list(access, "exchanges", virtual_host)),
            queues=_by_name(await self._list(access, "queues", virtual_host)),
            bindings=_bindings(bindings),
            policies=_by_name(await self._list(access, "policies", virtual_host)),
            users=known,
            permissions={
                entry["user"]: entry
                for entry in await self._list(access, "vhosts", virtual_host, "permissions")
            },
        )

    @override
    async def fingerprint(
        self, access: BrokerAccess, virtual_host: str, users: Sequence[str]
    ) -> str:
        return await self._fingerprints.of(access, virtual_host, users)

    @override
    async def ensure(self, access: BrokerAccess, virtual_host: str, resource: Resource) -> None:
        await self._perform(access, requests.ensure(virtual_host, resource))

    @override
    async def remove_binding(
        self, access: BrokerAccess, virtual_host: str, binding: BindingKey
    ) -> None:
        await self._perform(access, requests.remove_binding(virtual_host, binding))

    @override
    async def remove_policy(self, access: BrokerAccess, virtual_host: str, queue: str) -> None:
        await self._perform(access, requests.remove_policy(virtual_host, queue))

    @override
    async def remove_user(self, access: BrokerAccess, user: str) -> None:
        await self._perform(access, requests.remove_user(user))

    @override
    async def remove_virtual_host(self, access: BrokerAccess, virtual_host: str) -> None:
        await self._perform(access, requests.remove_virtual_host(virtual_host))

    @override
    async def remove_queue_if_empty(
        self, access: BrokerAccess, virtual_host: str, queue: str
    ) -> bool:
        # The API's message counts are some seconds old, and quorum queues refuse `if-empty`.
        # Getting one message and requeueing it gives the exact answer.
        peek = {"count": 1, "ackmode": "ack_requeue_true", "encoding": "base64", "truncate": 1}
        path = ("queues", virtual_host, queue, "get")
        if await self._request(access, "POST", path, peek, f"messages of queue {queue}"):
            return False
        await self._perform(access, requests.remove_queue(virtual_host, queue))
        return True

    @override
    async def check_user(self, user: BrokerUser) -> None:
        asked = (user.amqp_url, user.username, user.password, user.tls.fingerprint)
        timeout = self._timeout_seconds
        await self._checked.get(asked, time.monotonic(), lambda: check_login(user, timeout))

    @override
    async def declare(
        self, user: BrokerUser, virtual_host: str, resources: Sequence[Resource], *, create: bool
    ) -> PreparedHost:
        return await declare(
            user, virtual_host, resources, create=create, timeout_seconds=self._timeout_seconds
        )

    async def _perform(self, access: BrokerAccess, request: requests.Request) -> None:
        await self._request(
            access, request.method, request.path, request.body or None, request.title
        )

    async def _get(self, access: BrokerAccess, *path: str) -> dict[str, Any] | None:
        found = await self._request(access, "GET", path, None, " ".join(path))
        return found if isinstance(found, dict) else None

    async def _list(self, access: BrokerAccess, *path: str) -> list[dict[str, Any]]:
        found = await self._request(access, "GET", path, None, " ".join(path))
        return found if isinstance(found, list) else []

    async def _fetch(self, access: BrokerAccess, kind: str, query: str) -> bytes:
        """Return a list over all virtual hosts; the first one also checks login and AMQP port."""
        if kind == "vhosts":
            await self.check(access)
        return await self._send(access, "GET", f"{kind}?{query}", None, kind) or b"[]"

    async def _request(
        self,
        access: BrokerAccess,
        method: str,
        path: Sequence[str],
        body: Mapping[str, Any] | None,
        what: str,
    ) -> object:
        """Return the JSON of the response; None: the resource does not exist."""
        text = await self._send(
            access, method, "/".join(quote(part, safe="") for part in path), body, what
        )
        try:
            return json.loads(text) if text else None
        except ValueError as error:
            raise DependencyError.of(causes.NOT_MANAGEMENT, where=place(access)) from error

    async def _send(
        self,
        access: BrokerAccess,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        what: str,
    ) -> bytes | None:
        """
        Return the response body; None: the resource does not exist.

        An error does not repeat the body, which may quote the request.
        """
        status, text = await self._answer(access, method, path, body)
        if status == _NOT_FOUND and method != "PUT" and is_rabbitmq(text):
            return None
        if status >= _FIRST_ERROR:
            raise refusal(access, status, what, text)
        return text

    async def _answer(
        self, access: BrokerAccess, method: str, path: str, body: Mapping[str, Any] | None
    ) -> tuple[int, bytes]:
        address = f"{access.management_url}/api/{path}"
        login = aiohttp.encode_basic_auth(access.username, access.password, encoding="utf-8")
        headers = {"Authorization": login}
        try:
            async with self._session.request(
                method,
                URL(address, encoded=True),
                json=body,
                headers=headers,
                ssl=aiohttp_tls(access.tls),
            ) as answer:
                return answer.status, await answer.read()
        except aiohttp.ClientResponseError as error:  # the response is not HTTP
            raise DependencyError.of(causes.NOT_MANAGEMENT, where=place(access)) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise await connection_error(
                causes.MANAGEMENT, place(access), error, access.management_url
            ) from error


def _bindings(entries: Sequence[dict[str, Any]]) -> dict[Binding, tuple[str, ...]]:
    found: dict[Binding, tuple[str, ...]] = {}
    for entry in entries:
        if entry.get("destination_type") == "queue":
            binding = (entry["source"], entry["destination"], entry["routing_key"])
            found[binding] = (*found.get(binding, ()), entry["properties_key"])
    return found


def _by_name(entries: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in entries}
