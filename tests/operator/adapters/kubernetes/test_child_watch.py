"""What a watch does when the server breaks it off, forgets, or refuses."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from healthingest_operator.adapters.kubernetes import child_watch
from healthingest_operator.adapters.kubernetes.child_watch import ChildWatch, WatchCallbacks
from healthingest_operator.adapters.kubernetes.cluster import KubernetesCluster
from healthingest_operator.adapters.kubernetes.connection import Connection
from support.deadlines import HANG_SECONDS
from support.servers.loopback import accepted
from support.servers.process import free_port

PATH = "/api/v1/pods"


class Server:
    """
    An API server of one kind.

    Lists are at version 7, watches are answered by `watches` in turn.
    """

    def __init__(self, watches: list[list[dict[str, Any]] | int]) -> None:
        self._watches = watches
        self.asked: list[str] = []
        self.through = asyncio.Event()
        self.end = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """A list, or a watch."""
        if request.query.get("watch") != "true":
            self.asked.append(f"list limit={request.query['limit']}")
            return web.json_response({"metadata": {"resourceVersion": "7"}, "items": []})
        self.asked.append(f"watch from {request.query['resourceVersion']}")
        if not self._watches:
            self.through.set()
            await self.end.wait()
            return web.Response()
        events = self._watches.pop(0)
        if isinstance(events, int):
            return web.json_response({"message": "no"}, status=events)
        answer = web.StreamResponse()
        await answer.prepare(request)
        for event in events:
            await answer.write(json.dumps(event).encode() + b"\n")
        return answer


def event(kind: str, version: str, name: str = "a") -> dict[str, Any]:
    """As the API has it."""
    return {
        "type": kind,
        "object": {"metadata": {"name": name, "namespace": "x", "resourceVersion": version}},
    }


GONE = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}}


@pytest.fixture(name="watched")
def _watched(monkeypatch: pytest.MonkeyPatch) -> Callable[[Server], Awaitable[list[str]]]:
    """Runs a watch against a server until all its answers are given; what was told."""
    monkeypatch.setattr(child_watch, "_FIRST_PAUSE_SECONDS", 0.01)

    async def run(server: Server) -> list[str]:
        application = web.Application()
        told = list[str]()
        application.router.add_get(PATH, server.answer)
        runner = web.AppRunner(application, shutdown_timeout=0.0)
        port = free_port()
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        callbacks = WatchCallbacks(
            lambda _, metadata: told.append(metadata["name"]),
            lambda: told.append("lost"),
            lambda _: None,
            lambda _: None,
        )
        try:
            async with aiohttp.ClientSession() as session:
                connection = Connection(f"http://127.0.0.1:{port}", session)
                watch = ChildWatch(KubernetesCluster(connection, 1), "a=b", 5, callbacks)
                watching = asyncio.create_task(watch.run(PATH))
                async with asyncio.timeout(HANG_SECONDS):
                    await server.through.wait()
                server.end.set()
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
        finally:
            await site.stop()
            await accepted()
            await runner.cleanup()
        return told

    return run


async def test_a_watch_goes_on_where_it_was(
    watched: Callable[[Server], Awaitable[list[str]]],
) -> None:
    """From the last change or bookmark, without another list; nothing was lost."""
    server = Server(
        [[event("ADDED", "8"), event("BOOKMARK", "9", "")], [event("DELETED", "10", "b")]]
    )
    assert await watched(server) == ["a", "b"]
    assert server.asked == ["list limit=1", "watch from 7", "watch from 9", "watch from 10"]


@pytest.mark.parametrize("forgotten", [[GONE], 410])
async def test_what_the_server_has_forgotten_is_lost(
    watched: Callable[[Server], Awaitable[list[str]]], forgotten: list[dict[str, Any]] | int
) -> None:
    """It is told, after a new beginning; what comes then is not missed."""
    server = Server([[event("ADDED", "8")], forgotten, [event("MODIFIED", "11", "b")]])
    assert await watched(server) == ["a", "lost", "b"]
    assert server.asked == [
        "list limit=1",
        "watch from 7",
        "watch from 8",
        "list limit=1",
        "watch from 7",
        "watch from 11",
    ]


@pytest.mark.parametrize("status", [403, 429, 500, 503])
async def test_a_refused_watch_is_tried_again(
    watched: Callable[[Server], Awaitable[list[str]]], status: int
) -> None:
    """From where it was: nothing was lost."""
    server = Server([status, [event("ADDED", "8")]])
    assert await watched(server) == ["a"]
    assert server.asked == ["list limit=1", "watch from 7", "watch from 7", "watch from 8"]
