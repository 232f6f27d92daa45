"""
A prepared virtual host over AMQP: checks its objects, and declares those that the user may create.

Source of methods and reply codes: AMQP 0-9-1, sections 1.7 and 1.8, and RabbitMQ docs, "Access
Control": a passive declaration needs no permission. An unbinding that matches nothing has no effect
and needs permission to write to the destination, as publishing does.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from healthingest_operator.adapters.connection_errors import connection_error
from healthingest_operator.adapters.rabbitmq.amqp import (
    ACCESS_REFUSED,
    Conversation,
    NoAmqpError,
    conversation,
    is_login_refused,
    limit_in,
    place,
    speak_amqp,
)
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.ports import BrokerUser
from healthingest_operator.resources.prepared_topology import PreparedHost
from healthingest_operator.resources.topology import Kind, Resource
from healthingest_operator.status import outside_causes as causes

_OK: Final = 0
_NOT_FOUND: Final = 404
_NOT_ALLOWED: Final = 530
_OTHER_EXCHANGES: Final = ("amq.topic", "amq.direct")  # they exist in every virtual host
_QUEUE_LIMIT: Final = re.compile(r"((?:queue|exchange|cluster)\w* (?:\w+ )*limit)\b[^(]*(\(\d+\))")
_PROBE_KEY: Final = "healthingest.permission-check"


async def check_login(user: BrokerUser, timeout_seconds: float) -> None:
    """
    Check that the port speaks AMQP and the broker accepts the login.

    Raises:
        DependencyError: it does not.
    """
    await speak_amqp(user, timeout_seconds)
    async with _session(user, timeout_seconds) as session:
        await session.close()


async def declare(
    user: BrokerUser,
    virtual_host: str,
    resources: Sequence[Resource],
    *,
    create: bool,
    timeout_seconds: float,
) -> PreparedHost:
    """
    Check *resources*, and with *create* declare those that are missing.

    Raises:
        DependencyError: the user may not use the virtual host, or the broker refuses a declaration
            for another reason than its permissions.
    """
    async with _session(user, timeout_seconds) as session:
        await session.open(virtual_host)
        declarer = _Declarer(session, virtual_host, create=create)
        for resource in resources:
            await declarer.declare(resource)
        # The broker logs each refusal, so frequent checks omit requests that are usually refused.
        may_publish = not create or await declarer.may_publish(resources[0].name)
        await session.close()
    return PreparedHost(
        tuple(declarer.created), tuple(declarer.absent), tuple(declarer.unchecked), may_publish
    )


@asynccontextmanager
async def _session(user: BrokerUser, timeout_seconds: float) -> AsyncIterator["_Session"]:
    """Yield an authenticated connection, with a deadline and translated errors."""
    where = place(user.amqp_url)
    try:
        async with asyncio.timeout(timeout_seconds), conversation(user) as talk:
            session = _Session(talk, user)
            await session.authenticate()
            yield session
    except (TimeoutError, OSError, EOFError) as error:
        raise await connection_error(causes.AMQP, where, error, user.amqp_url) from error
    except NoAmqpError as error:
        raise DependencyError.of(causes.NOT_AMQP, where=where) from error


@dataclass(slots=True)
class _Session:
    """The methods of a connection; the broker closes a channel with each refusal."""

    talk: Conversation
    user: BrokerUser
    channel: int = 0

    async def authenticate(self) -> None:
        refused = await self.talk.authenticate(self.user.username, self.user.password)
        if refused is not None:
            raise self._refused(refused, "")

    async def open(self, virtual_host: str) -> None:
        """
        Open the virtual host, and a channel.

        Raises:
            DependencyError: it does not exist, or the user may not use it.
        """
        from pamqp import commands  # noqa: PLC0415 - see `amqp`

        answer = await self.talk.ask(0, commands.Connection.Open(virtual_host))
        if isinstance(answer, commands.Connection.Close):
            raise self._refused((answer.reply_code or 0, answer.reply_text), virtual_host)
        await self._open_channel(virtual_host)

    async def call(self, virtual_host: str, method: Any) -> tuple[int, str]:  # noqa: ANN401 - AMQP
        """
        Return code and text of the broker's refusal; code 0: the request succeeded.

        Raises:
            DependencyError: the broker closes the connection.
        """
        from pamqp import commands  # noqa: PLC0415 - see `amqp`

        answer = await self.talk.ask(self.channel, method)
        if isinstance(answer, commands.Connection.Close):
            raise self._refused((answer.reply_code or 0, answer.reply_text), virtual_host)
        if isinstance(answer, commands.Channel.Close):
            self.talk.send(self.channel, commands.Channel.CloseOk())
            await self._open_channel(virtual_host)
            return answer.reply_code or 0, answer.reply_text
        return _OK, ""

    async def close(self) -> None:
        await self.talk.close()

    async def _open_channel(self, virtual_host: str) -> None:
        from pamqp import commands  # noqa: PLC0415 - see `amqp`

        self.channel += 1
        answer = await self.talk.ask(self.channel, commands.Channel.Open())
        if isinstance(answer, commands.Connection.Close):
            raise self._refused((answer.reply_code or 0, answer.reply_text), virtual_host)

    def _refused(self, answer: tuple[int, str], virtual_host: str) -> DependencyError:
        code, words = answer
        where = place(self.user.amqp_url)
        user = self.user.username
        named = {"where": where, "user": user, "host": virtual_host}
        if is_login_refused(code, words):
            return DependencyError.of(causes.USER_LOGIN, where=where, user=user)
        limit = limit_in(words)
        if limit is not None:
            return DependencyError.of(causes.CONNECTION_LIMIT, **named, limit=limit)
        if code == _NOT_ALLOWED and "not found" in words:
            return DependencyError.of(causes.PREPARED_HOST_MISSING, **named)
        if code in {_NOT_ALLOWED, ACCESS_REFUSED} and "refused" in words:
            return DependencyError.of(causes.PREPARED_HOST_DENIED, **named)
        return DependencyError.of(causes.VIRTUAL_HOST_REFUSED, **named)


@dataclass(slots=True)
class _Declarer:
    """Declares resources of a virtual host, and records the outcome of each."""

    session: _Session
    virtual_host: str
    create: bool
    created: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)

    async def declare(self, resource: Resource) -> None:
        if resource.kind is Kind.BINDING:
            await self._bind(resource)
            return
        code, _ = await self._call(_declaration(resource, passive=True))
        if code == _OK:
            return
        if code != _NOT_FOUND:  # e.g. an exclusive queue of another connection
            raise self._conflict(resource)
        if not self.create:
            self.absent.append(resource.title)
            return
        await self._create(resource)

    async def may_publish(self, exchange: str) -> bool:
        """
        Whether the user may write to *exchange*; also True if it does not exist.

        The broker checks writing to the destination first, then reading the source, and names the
        exchange that it refuses (`binding_action` of its `rabbit_channel.erl`).
        """
        from pamqp import commands  # noqa: PLC0415 - see `amqp`

        source = next(name for name in _OTHER_EXCHANGES if name != exchange)
        unbind = commands.Exchange.Unbind(
            destination=exchange, source=source, routing_key=_PROBE_KEY
        )
        code, words = await self._call(unbind)
        return not (code == ACCESS_REFUSED and f"exchange '{exchange}'" in words)

    async def _create(self, resource: Resource) -> None:
        code, words = await self._call(_declaration(resource, passive=False))
        if code == _OK:
            self.created.append(resource.title)
        elif code == ACCESS_REFUSED:
            self.absent.append(resource.title)
        else:
            raise self._limited(resource, words) or self._conflict(resource)

    async def _bind(self, resource: Resource) -> None:
        """Create a binding; it is not counted as created, because it may have existed."""
        from pamqp import commands  # noqa: PLC0415 - see `amqp`

        if not self.create or {
            f"queue {resource.name}",
            f"exchange {resource.values['source']}",
        } & {*self.absent}:
            return
        bind = commands.Queue.Bind(
            queue=resource.name,
            exchange=resource.values["source"],
            routing_key=resource.values["routing_key"],
        )
        code, _ = await self._call(bind)
        if code != _OK:
            self.unchecked.append(resource.title)

    async def _call(self, method: Any) -> tuple[int, str]:  # noqa: ANN401 - any AMQP method
        return await self.session.call(self.virtual_host, method)

    def _conflict(self, resource: Resource) -> DependencyError:
        return DependencyError.of(
            causes.PREPARED_CONFLICT, host=self.virtual_host, what=resource.title
        )

    def _limited(self, resource: Resource, words: str) -> DependencyError | None:
        limit = _QUEUE_LIMIT.search(words)
        if limit is None:
            return None
        return DependencyError.of(
            causes.BROKER_LIMIT,
            where=place(self.session.user.amqp_url),
            what=resource.title,
            limit=" ".join(limit.groups()),
        )


def _declaration(resource: Resource, *, passive: bool) -> Any:  # noqa: ANN401 - an AMQP method
    from pamqp import commands  # noqa: PLC0415 - see `amqp`

    values = resource.values
    if resource.kind is Kind.EXCHANGE:
        return commands.Exchange.Declare(
            exchange=resource.name,
            exchange_type=values["type"],
            passive=passive,
            durable=values["durable"],
        )
    return commands.Queue.Declare(
        queue=resource.name,
        passive=passive,
        durable=values["durable"],
        arguments=dict(values["arguments"]),
    )
