"""
Connections to an address with several hosts, of which some may be down or refuse writes.

asyncpg tries the hosts in turn, but a host that drops packets uses up the whole deadline. Here
each host has a share of it.
"""

import asyncio
import ssl
from collections.abc import Mapping
from typing import Final

import asyncpg

from healthingest_contract.database_address import read_database_address

_NEXT_HOST: Final = (
    OSError,  # TimeoutError and errors of TLS, too
    asyncpg.CannotConnectNowError,
    asyncpg.TargetServerAttributeNotMatched,
)


async def connect_to_a_host(
    url: str,
    *,
    timeout_seconds: float,
    settings: Mapping[str, str],
    ssl: ssl.SSLContext | None,
) -> asyncpg.Connection:
    """
    Return a connection to the first host of *url* that accepts one.

    With `target_session_attrs` in *url* the host must have this state. *timeout_seconds* is the
    deadline of connecting to all hosts, and of each statement.

    Raises:
        ConnectionError: no host has this state.
    """
    hosts = read_database_address(url).hosts
    deadline = asyncio.get_running_loop().time() + timeout_seconds
    failed: list[BaseException] = []
    for number, (host, port) in enumerate(hosts):
        left = deadline - asyncio.get_running_loop().time()
        try:
            return await asyncpg.connect(
                url,
                host=host,
                port=port,
                timeout=max(left, 0) / (len(hosts) - number),
                command_timeout=timeout_seconds,
                server_settings=dict(settings),
                ssl=ssl,
            )
        except _NEXT_HOST as error:
            failed.append(error)
    for failure in failed:
        if isinstance(failure, asyncpg.TargetServerAttributeNotMatched):
            message = "no host of the database has the state that target_session_attrs names"
            raise ConnectionError(message) from failure
    raise failed[-1]
