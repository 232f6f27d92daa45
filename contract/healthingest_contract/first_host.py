"""
Connects to the first of several hosts that is suitable; some may be down or refuse writes.

Drivers try the hosts of an address in turn, but a host that drops packets uses up their whole
deadline. Here each host has a share of it. Operator and service connect by the same rule.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

Connection = TypeVar("Connection")


async def first_host(
    hosts: Sequence[tuple[str, int]],
    connect: Callable[[str, int, float], Awaitable[Connection]],
    *,
    timeout_seconds: float,
    passing: tuple[type[Exception], ...],
    decisive: type[Exception],
) -> Connection:
    """
    Return what *connect* returns for the first host that it reaches.

    *connect* gets host, port and its share of *timeout_seconds*. After an error of the types
    *passing* the next host is tried.

    Raises:
        Exception: the first error of the type *decisive* if there was one, else that of the last
            host.
    """
    deadline = asyncio.get_running_loop().time() + timeout_seconds
    failed: list[Exception] = []
    for number, (host, port) in enumerate(hosts):
        left = max(deadline - asyncio.get_running_loop().time(), 0)
        try:
            return await connect(host, port, left / (len(hosts) - number))
        except passing as error:
            failed.append(error)
    raise next((error for error in failed if isinstance(error, decisive)), failed[-1])
