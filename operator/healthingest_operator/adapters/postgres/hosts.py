"""
Connections to an address with several hosts, of which some may be down or refuse writes.

asyncpg tries the hosts in turn, but a host that drops packets uses up the whole deadline. Here
each host has a share of it.
"""

import asyncio
import ssl
from typing import Final

import asyncpg

from healthingest_contract.database_address import read_database_address

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
                ssl=ssl,
            )
        except _NEXT_HOST as error:
            failed.append(error)
    unsuitable = (
        error for error in failed if isinstance(error, asyncpg.TargetServerAttributeNotMatched)
    )
    raise next(unsuitable, failed[-1])
