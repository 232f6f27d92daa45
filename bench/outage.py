"""
Measures a broker outage: uploads, readiness, and how fast the backlog follows.

Real processes (API, relay, janitor) run on private servers (PostgreSQL, RabbitMQ, versitygw).
RabbitMQ is stopped under a constant load and started again after some minutes. The load continues
until the outbox is empty.
"""

import argparse
import asyncio
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import asyncpg
import httpx

from support.faults.consumer import Consumer
from support.results import add_json_option, write_figures
from support.samples import good_file
from support.servers.postgres import postgres_server
from support.servers.process import work_folder
from support.servers.rabbitmq import RabbitMQServer, rabbitmq_server
from support.servers.versitygw import s3_server
from support.service_process import COMMAND, ServiceProcess, environment, service

RATIO_AIM: Final = 0.999
RATE_AIM: Final = 1000.0
_READY_SECONDS: Final = 0.5
_COUNT_SECONDS: Final = 0.1
_DRAIN_LIMIT_SECONDS: Final = 300.0
_STEADY: Final = 50
"""Fewer waiting messages than this come from the load itself."""


@dataclass
class Seen:
    """The counts and times of the run."""

    answers: Counter[str] = field(default_factory=Counter)
    ids: set[str] = field(default_factory=set)
    ready: Counter[bool] = field(default_factory=Counter)
    slowest_seconds: float = 0.0


@dataclass(frozen=True)
class Drain:
    """The end of the backlog, in seconds since the broker was back."""

    backlog: int
    first_seconds: float
    empty_seconds: float

    @property
    def per_second(self) -> float:
        """Return the messages a second, from the first to the last one."""
        return self.backlog / (self.empty_seconds - self.first_seconds)


async def load(
    client: httpx.AsyncClient, token: str, rate: float, stop: asyncio.Event, seen: Seen
) -> None:
    """Send *rate* new files a second, each at its time, even if others are delayed."""
    began = time.monotonic()
    number = 0
    async with asyncio.TaskGroup() as tasks:
        while not stop.is_set():
            tasks.create_task(_upload(client, token, number, seen))
            number += 1
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, began + number / rate - time.monotonic())):
                    await stop.wait()


async def _upload(client: httpx.AsyncClient, token: str, number: int, seen: Seen) -> None:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/avro"}
    began = time.monotonic()
    try:
        answer = await client.post("/v1/upload", content=good_file(3, seed=number), headers=headers)
    except httpx.HTTPError as error:
        seen.answers[type(error).__name__] += 1
        return
    seen.answers[str(answer.status_code)] += 1
    seen.slowest_seconds = max(seen.slowest_seconds, time.monotonic() - began)
    if answer.status_code == httpx.codes.CREATED:
        seen.ids.add(answer.json()["upload_id"])


async def watch_readiness(client: httpx.AsyncClient, stop: asyncio.Event, seen: Seen) -> None:
    """Ask for readiness until the run ends."""
    while not stop.is_set():
        try:
            seen.ready[(await client.get("/health/ready")).status_code == httpx.codes.OK] += 1
        except httpx.HTTPError:
            seen.ready[False] += 1
        with suppress(TimeoutError):
            async with asyncio.timeout(_READY_SECONDS):
                await stop.wait()


async def drained(database: asyncpg.Connection, came_back: float) -> Drain:
    """Wait until no more messages wait than the load itself causes."""
    backlog = await database.fetchval("SELECT count(*) FROM outbox")
    first = 0.0
    while True:
        waiting = await database.fetchval("SELECT count(*) FROM outbox")
        now = time.monotonic() - came_back
        if not first and waiting < backlog:
            first = now
        if waiting <= _STEADY:
            return Drain(backlog - waiting, first, now)
        if now > _DRAIN_LIMIT_SECONDS:
            print(f"not drained in {now:.0f} s: {waiting} wait", flush=True)
            return Drain(backlog - waiting, first, now)
        backlog = max(backlog, waiting)
        await asyncio.sleep(_COUNT_SECONDS)


async def heard(broker: RabbitMQServer, wanted: set[str]) -> int:
    """Return how many of *wanted* a consumer received."""
    consumer = Consumer(broker)
    hearing = asyncio.create_task(consumer.run())
    deadline = time.monotonic() + 60
    while not wanted <= {one.upload_id for one in consumer.heard} and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(_COUNT_SECONDS)
    hearing.cancel()
    await asyncio.gather(hearing, return_exceptions=True)
    return len(wanted & {one.upload_id for one in consumer.heard})


async def signed_in(client: httpx.AsyncClient) -> str:
    """Return the token of a new account."""
    account = {"email": "ada@clinic.example", "password": "correct horse battery"}
    (await client.post("/auth/register", json=account)).raise_for_status()
    form = {"username": account["email"], "password": account["password"]}
    token: str = (await client.post("/auth/jwt/login", data=form)).json()["access_token"]
    return token


@dataclass(frozen=True)
class Stage:
    """
    The servers and processes of the run.

    The broker ends with the thread that started it. This is `starter`, which outlives the run.
    """

    api: ServiceProcess
    broker: RabbitMQServer
    database_url: str
    starter: ThreadPoolExecutor
    json: Path | None = None


async def outage(on: Stage, minutes: float, rate: float) -> bool:
    """Run the outage and print the result; return whether the aims were met."""
    assert on.broker.process is not None
    seen = Seen()
    stop = asyncio.Event()
    limits = httpx.Limits(max_connections=100)
    database = await asyncpg.connect(on.database_url)
    async with httpx.AsyncClient(base_url=on.api.address(), timeout=30, limits=limits) as client:
        token = await signed_in(client)
        await asyncio.to_thread(on.broker.process.stop)
        print(f"broker stopped for {minutes:g} min, {rate:g} uploads/s", flush=True)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(load(client, token, rate, stop, seen))
            tasks.create_task(watch_readiness(client, stop, seen))
            await asyncio.sleep(minutes * 60)
            await asyncio.get_running_loop().run_in_executor(on.starter, on.broker.process.start)
            drain = await drained(database, time.monotonic())
            stop.set()
    # ASYNC110: a table tells nobody
    while await database.fetchval("SELECT count(*) FROM outbox"):  # noqa: ASYNC110
        await asyncio.sleep(_COUNT_SECONDS)
    await database.close()
    came = await heard(on.broker, seen.ids)
    write_figures(on.json, _figures(seen, drain, came))
    return _report(seen, drain, came)


def _figures(seen: Seen, drain: Drain, came: int) -> dict[str, float | None]:
    good = seen.answers["201"]
    return {
        "uploads": seen.answers.total(),
        "not_accepted": seen.answers.total() - good,
        "slowest_seconds": seen.slowest_seconds,
        "not_ready": seen.ready[False],
        "drained_per_second": drain.per_second,
        "first_seconds": drain.first_seconds,
        "not_announced": good - came,
    }


def _report(seen: Seen, drain: Drain, came: int) -> bool:
    sent = seen.answers.total()
    good = seen.answers["201"]
    print(
        f"uploads   {good} of {sent} answered with 201: {good / sent:.5f} (aim {RATIO_AIM});"
        f" {dict(seen.answers)}"
    )
    print(f"          slowest answer {seen.slowest_seconds:.2f} s")
    print(f"readiness true {seen.ready[True]} times, false {seen.ready[False]} times (aim 0)")
    print(
        f"drain     {drain.backlog} messages at {drain.per_second:.0f}/s (aim {RATE_AIM:.0f});"
        f" first after {drain.first_seconds:.1f} s, empty after {drain.empty_seconds:.1f} s"
    )
    print(f"messages  {came} of {good} uploads heard of")
    return (
        good / sent >= RATIO_AIM
        and not seen.ready[False]
        and drain.per_second >= RATE_AIM
        and came == good
    )


def main() -> int:
    """Exit code 0 if the aims were met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=20.0, help="uploads a second")
    add_json_option(parser)
    options = parser.parse_args()
    with ExitStack() as stack:
        starter = stack.enter_context(ThreadPoolExecutor(1))
        folder = Path(stack.enter_context(work_folder(None)))
        url = stack.enter_context(stack.enter_context(postgres_server()).database())
        store = stack.enter_context(s3_server()).new_bucket()
        broker = stack.enter_context(stack.enter_context(rabbitmq_server()).new_virtual_host())
        Consumer(broker).declare()
        settings = {
            "DATABASE__URL": url,
            "STORE__ENDPOINT": store.endpoint,
            "STORE__BUCKET": store.bucket,
            "STORE__ACCESS_KEY_ID": store.access_key_id,
            "STORE__SECRET_ACCESS_KEY": store.secret_access_key,
            "BROKER__URL": broker.amqp_url,
            "LIMITS__UPLOADS": "1000000/minute",
            "LIMITS__UPLOADS_AT_ONCE_PER_ACCOUNT": "10000",
            "LIMITS__UPLOADS_AT_ONCE_PER_ADDRESS": "10000",
            "HTTP__MAX_CONNECTIONS": "10000",
            "HTTP__MAX_CONNECTIONS_PER_ADDRESS": "10000",
            "IDENTITY__ACCESS_TOKEN_SECONDS": "3600",
        }
        subprocess.run(
            [*COMMAND, "migrate"], env=environment(folder, **settings), check=True, timeout=60
        )
        running = {
            name: stack.enter_context(service(folder, name, **settings))
            for name in ("api", "relay", "janitor")
        }
        running["api"].wait_until_ready()
        stage = Stage(running["api"], broker, url, starter, options.json)
        return 0 if asyncio.run(outage(stage, options.minutes, options.rate)) else 1


if __name__ == "__main__":
    sys.exit(main())
