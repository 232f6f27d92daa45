import asyncio
from dataclasses import dataclass
from pathlib import Path

import httpx

from healthingest_service.api.metrics_port import create_metrics_app
from healthingest_service.health.board import Check, HealthBoard
from healthingest_service.telemetry.metrics import Metrics
from support.edge import Edge, open_edge


@dataclass
class Dependency:
    """Up or not, as the test says."""

    up: bool = True
    hangs: bool = False

    async def check(self) -> None:
        """Raise when down."""
        if self.hangs:
            await asyncio.Event().wait()
        if not self.up:
            raise ConnectionError


def board(*checks: Check) -> HealthBoard:
    """A board whose checks may take 50 ms."""
    return HealthBoard(
        checks, metrics=Metrics.create(), interval_seconds=0.01, timeout_seconds=0.05
    )


async def test_is_ready_while_what_is_required_is_up() -> None:
    """Not before the first round; then as the required ones are."""
    dependency = Dependency()
    health = board(Check("store", dependency.check, required=True))
    assert not health.is_ready
    await health.check_once()
    assert health.is_ready
    assert health.has_started
    dependency.up = False
    await health.check_once()
    assert not health.is_ready
    assert health.has_started
    assert health.outcomes["store"].error == "ConnectionError"


async def test_who_leaves_is_not_ready() -> None:
    """At once, with every dependency up, and in each round that follows."""
    health = board(Check("store", Dependency().check, required=True))
    await health.check_once()
    health.leave()
    assert not health.is_ready
    await health.check_once()
    assert not health.is_ready


async def test_the_broker_and_the_counters_take_nobody_out() -> None:
    """What is not required is shown as down, and the instance stays ready."""
    health = board(Check("broker", Dependency(up=False).check, required=False))
    await health.check_once()
    assert health.is_ready
    assert not health.outcomes["broker"].up


async def test_a_check_that_hangs_is_down() -> None:
    """A check has a deadline."""
    health = board(Check("store", Dependency(hangs=True).check, required=True))
    await health.check_once()
    assert not health.is_ready
    assert health.outcomes["store"].error == "TimeoutError"


async def test_answers_from_memory(edge: Edge) -> None:
    """
    The probe is answered without asking anybody.

    It is the same with the database gone, and starts no check.
    """
    await edge.deps.health.check_once()
    assert (await edge.http.get("/health/ready")).status_code == 200
    await edge.runtime.engine.dispose()
    seen = edge.deps.health.outcomes
    for _ in range(100):
        assert (await edge.http.get("/health/startup")).status_code == 200
    assert edge.deps.health.outcomes == seen


async def test_the_embedded_parts_are_ready(edge: Edge) -> None:
    """Database, schema, outbox, store and spool are required and up."""
    await edge.deps.health.check_once()
    required = {name for name, seen in edge.deps.health.outcomes.items() if seen.required}
    assert required == {"database", "schema", "outbox", "store", "spool"}
    assert all(seen.up for seen in edge.deps.health.outcomes.values())


async def test_load_does_not_turn_readiness_off(tmp_path: Path) -> None:
    """While requests hold every connection of the pool, the checks have one of their own."""
    async with open_edge(tmp_path, database={"pool_size": 2}) as edge:
        async with edge.runtime.engine.connect(), edge.runtime.engine.connect():
            await edge.deps.health.check_once()
        assert edge.deps.health.is_ready


async def test_the_metrics_port_says_whether_the_relay_announces() -> None:
    """
    By the one check that is named.

    Before the first round it is in order, for no rollout may wait for the broker.
    """
    dependency = Dependency(up=False)
    health = board(
        Check("other", Dependency(up=False).check, required=True),
        Check("it", dependency.check, required=False),
    )
    app = create_metrics_app(Metrics.create(), health, decisive="it")
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://metrics"
    ) as client:
        assert (await client.get("/health/ready")).status_code == 200
        await health.check_once()
        answer = await client.get("/health/ready")
        assert (answer.status_code, answer.json()) == (503, {"status": "stalled"})
        dependency.up = True
        await health.check_once()
        assert (await client.get("/health/ready")).status_code == 200


async def test_a_cause_that_is_known_is_told_by_its_code() -> None:
    """Of any other error the type."""
    health = HealthBoard(
        [Check("database", Dependency(up=False).check, required=True)],
        metrics=Metrics.create(),
        interval_seconds=1,
        timeout_seconds=1,
        cause_of=lambda error: "database-read-only" if isinstance(error, ConnectionError) else None,
    )
    await health.check_once()
    assert health.outcomes["database"].error == "database-read-only"
