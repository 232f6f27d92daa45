"""Fault points of the answer: after its head, and after its body."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from support.faults.points import Faults, Point

_CREATED: Final = 201
_ROUTE: Final = "/v1/upload"


class FaultyAnswers:
    """An application whose answers to accepted uploads pass two points."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        is_accepted = False

        async def faulty_send(message: Message) -> None:
            nonlocal is_accepted
            await send(message)
            if message["type"] == "http.response.start":
                is_accepted = scope["path"] == _ROUTE and message["status"] == _CREATED
                if is_accepted:
                    await self._faults.at(Point.MID_REPLY)
            elif is_accepted and not message.get("more_body", False):
                await self._faults.at(Point.AFTER_REPLY)

        await self._app(scope, receive, faulty_send)
