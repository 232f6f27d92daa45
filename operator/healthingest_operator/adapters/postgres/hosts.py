"""Connections of the operator to an address with one or several hosts."""

import ssl
from functools import partial
from typing import Final

import asyncpg

from healthingest_contract.database_address import read_database_address
from healthingest_contract.first_host import first_host

_NEXT_HOST: Final = (
    OSError,  # TimeoutError and errors of TLS, too
    asyncpg.CannotConnectNowError,
    asyncpg.TargetServerAttributeNotMatched,
)


async def connect(
    url: str, *, timeout_seconds: float, ssl: ssl.SSLContext | None
) -> asyncpg.Connection:
    """
    Return a connection to the first host of *url* that accepts one.

    With `target_session_attrs` in *url* the host must have this state. If no host does, that error
    is raised, otherwise the error of the last host.
    """
    open_one = partial(_connect, url, command_timeout=timeout_seconds, ssl=ssl)
    return await first_host(
        read_database_address(url).hosts,
        open_one,
        timeout_seconds=timeout_seconds,
        passing=_NEXT_HOST,
        decisive=asyncpg.TargetServerAttributeNotMatched,
    )


async def _connect(
    url: str, host: str, port: int, seconds: float, **options: object
) -> asyncpg.Connection:
    return await asyncpg.connect(url, host=host, port=port, timeout=seconds, **options)
