"""Servers with faults, and the messages that the operator must report for them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.ports import BrokerAccess
from healthingest_operator.status.causes import Cause
from support.servers.postgres import PostgresServer
from support.servers.process import free_port
from support.servers.rabbitmq import RabbitMQServer
from support.servers.redis import RedisServer
from support.servers.silent import silent_server
from support.servers.tls import untrusted_tls
from support.servers.versitygw import S3Server

SECRET: Final = "hush-hush"
SECONDS: Final = 3.0
"""The deadline of an adapter that waits for a silent server."""
UNKNOWN_NAME: Final = "no-such-name.invalid"


@dataclass(frozen=True)
class WrongPorts:
    """
    Ports of 127.0.0.1.

    Those with `tls` have an untrusted certificate; nothing listens on `closed`.
    """

    amqp: int
    management: int
    s3: int
    redis: int
    postgres: int
    tls_amqp: int
    tls_management: int
    tls_s3: int
    silent: int
    closed: int


@asynccontextmanager
async def wrong_ports(
    broker: RabbitMQServer, s3: S3Server, redis: RedisServer, postgres: PostgresServer, folder: Path
) -> AsyncIterator[WrongPorts]:
    """Yield the ports of the run's servers, and of some that exist during the context."""
    s3_port = urlsplit(s3.endpoint).port or 0
    async with (
        untrusted_tls(broker.amqp_port, folder) as tls_amqp,
        untrusted_tls(broker.management_port, folder) as tls_management,
        untrusted_tls(s3_port, folder) as tls_s3,
        silent_server() as silent,
    ):
        yield WrongPorts(
            amqp=broker.amqp_port,
            management=broker.management_port,
            s3=s3_port,
            redis=redis.port,
            postgres=postgres.port,
            tls_amqp=tls_amqp,
            tls_management=tls_management,
            tls_s3=tls_s3,
            silent=silent,
            closed=free_port(),
        )


def access_to_broker(server: RabbitMQServer, **other: str) -> BrokerAccess:
    """Return the content of a platform team's Secret, with *other* values instead of its own."""
    words = {
        "management_url": server.management_url,
        "amqp_url": server.broker_url,
        "username": server.username,
        "password": server.password,
    }
    words |= other
    return BrokerAccess(
        words["management_url"], words["amqp_url"], words["username"], words["password"]
    )


def assert_said(error: DependencyError, cause: Cause, **values: object) -> None:
    """Check that the message is that of the table, and contains no secret."""
    assert (error.reason, error.message) == (cause.reason, cause.text(**values))
    assert SECRET not in error.message
