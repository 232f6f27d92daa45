"""Fault points before and after each call of a port, as wrappers of ports."""

from collections.abc import Awaitable, Callable
from inspect import iscoroutinefunction
from typing import Any, TypeVar, cast

from support.faults.points import POINTS, Faults

T = TypeVar("T")


def with_points(port: T, faults: Faults, *, prefix: str = "") -> T:
    """Return *port* with the points `{prefix}before_{method}` and `{prefix}after_{method}`."""
    return cast("T", _Port(port, faults, prefix))


class _Port:
    def __init__(self, inner: object, faults: Faults, prefix: str) -> None:
        self._inner = inner
        self._faults = faults
        self._prefix = prefix

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._inner, name)
        if not iscoroutinefunction(method):  # a generator, or a value
            return method  # type: ignore[no-any-return] # whatever it is

        async def call(*given: object, **named: object) -> Any:  # noqa: ANN401 - any method
            await self._at(f"before_{name}")
            result = await method(*given, **named)
            await self._at(f"after_{name}")
            return result

        return call

    async def _at(self, name: str) -> None:
        point = POINTS.get(f"{self._prefix}{name}")
        if point is not None:
            await self._faults.at(point)
