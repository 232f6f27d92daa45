"""Fault points before and after each step of an erasure, as wrappers of its ports."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

from support.erasure_points import ErasurePoint
from support.faults.points import Faults

T = TypeVar("T")
_POINTS = {str(point): point for point in ErasurePoint}


def with_points(port: T, faults: Faults) -> T:
    """Return *port* with the points of its methods."""
    return cast("T", _Port(port, faults))


class _Port:
    def __init__(self, inner: object, faults: Faults) -> None:
        self._inner = inner
        self._faults = faults

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._inner, name)

        async def call(*given: object, **named: object) -> Any:  # noqa: ANN401 - any method
            await self._at(f"before_{name}")
            result = await method(*given, **named)
            await self._at(f"after_{name}")
            return result

        return call

    async def _at(self, name: str) -> None:
        if name in _POINTS:
            await self._faults.at(_POINTS[name])
