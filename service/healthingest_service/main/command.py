"""The command `healthingest-service`: one process a command, all of them in one with `serve`."""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final

import structlog
import uvloop
from starlette.types import ASGIApp

from healthingest_contract.stop_causes import StopCause
from healthingest_service.adapters.database.migrate import migrate
from healthingest_service.adapters.database.stop_causes import database_cause
from healthingest_service.adapters.queue_file import follow
from healthingest_service.api.app import create_app
from healthingest_service.api.connection import ConnectionRules
from healthingest_service.api.metrics_port import create_metrics_app
from healthingest_service.api.readiness import HealthBoard
from healthingest_service.api.server import Listen, bind, serve
from healthingest_service.faults.answering import FaultyAnswers
from healthingest_service.faults.points import VARIABLE
from healthingest_service.main import companions, parts, refusals, wiring
from healthingest_service.main.companions import Work
from healthingest_service.main.ending import explain, leave
from healthingest_service.settings import InvalidSettingsError, Settings, load, unknown_names
from healthingest_service.telemetry.logs import configure_logging
from healthingest_service.telemetry.metrics import Metrics
from healthingest_service.uploads.announcing import ANNOUNCEMENTS

STARTED: Final = "listening"
UNKNOWN_SETTINGS: Final = "unknown_settings"
FAULTS_ASKED_FOR: Final = "faults_asked_for"
_METRICS_GRACEFUL_SECONDS: Final = 1
_CHECK_SECONDS: Final = 2.0
_PROCESSES: Final = {
    "serve": frozenset({"api", "relay", "janitor"}),
    "api": frozenset({"api"}),
    "relay": frozenset({"relay"}),
    "janitor": frozenset({"janitor"}),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run one command.

    Returns the exit code: 0 ended as asked, 1 it could not go on, 2 wrong settings.
    """
    options = _parser().parse_args(arguments)
    try:
        settings = load()
        refusals.refuse_stand_ins(settings, options.command)
        refusals.refuse_short_leases(settings)
        configure_logging(sys.stderr, level=settings.server.log_level)
        unknown = [name for name in unknown_names(os.environ) if name != VARIABLE]
        if unknown:
            structlog.get_logger("healthingest.main").warning(UNKNOWN_SETTINGS, names=unknown)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_command(options, settings))
    except (InvalidSettingsError, OSError) as error:
        sys.stderr.write(f"healthingest-service: {error}\n")
        leave(StopCause.SETTINGS_REFUSED)
        return 2
    except Exception as error:  # noqa: BLE001 - the edge of the process: a traceback would print foreign texts
        explain(error)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="healthingest-service", description="The upload API and its companions."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser(
        "serve", help="api, relay and janitor in one process; migrates the database first"
    )
    commands.add_parser("api", help="the upload API")
    commands.add_parser("relay", help="from the outbox to the broker")
    commands.add_parser("janitor", help="settle what dead processes left")
    commands.add_parser("migrate", help="bring the database to the shape that this version needs")
    events = commands.add_parser(
        "events", help="print the messages of the embedded queue file as they come"
    )
    events.add_argument(
        "--from-start", action="store_true", help="and those that are there already"
    )
    return parser


async def _command(options: argparse.Namespace, settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if options.command in {"migrate", "serve"}:
        url = parts.database_url(settings)
        await migrate(url, timeout_seconds=settings.database.migrate_timeout_seconds)
    if options.command == "events":
        await _print_events(settings, stop, from_start=options.from_start)
    elif options.command in _PROCESSES:
        await run(settings, _PROCESSES[options.command], stop)


async def run(settings: Settings, process: frozenset[str], stop: asyncio.Event) -> None:
    """Open what the process needs, work until *stop* is set, close it again."""
    async with AsyncExitStack() as stack:
        ground = await parts.open_ground(settings, stack)
        work: list[Work] = []
        if "relay" in process:
            work += await companions.open_relay(ground, stack)
        else:
            work += companions.notify_work(ground)
        if process & {"api", "janitor"}:
            store = await parts.open_store(ground, stack)
        if "janitor" in process:
            work += await companions.open_janitor(ground, stack, store)
        health = HealthBoard(
            ground.checks,
            metrics=ground.metrics,
            interval_seconds=settings.server.health_interval_seconds,
            timeout_seconds=_CHECK_SECONDS,
            cause_of=database_cause,
        )
        if "api" in process:
            app: ASGIApp = create_app(
                await wiring.open_api_dependencies(ground, stack, store, health)
            )
            if ground.faults is not None:
                structlog.get_logger("healthingest.main").warning(FAULTS_ASKED_FOR)
                app = FaultyAnswers(app, ground.faults)
            listen = _listen(settings, process, settings.server.port)
            serving = _serving(
                "api", app, listen, wiring.connection_rules(settings), ground.metrics
            )
            work.append(_leaving_first(serving, health, settings.server.shutdown_delay_seconds))
        else:
            work.append(health.run)
        metrics_listen = _listen(
            settings, process, settings.server.metrics_port, _METRICS_GRACEFUL_SECONDS
        )
        metrics_app = create_metrics_app(ground.metrics, health, decisive=ANNOUNCEMENTS)
        rules = wiring.metrics_connection_rules(settings)
        metrics_server = _serving("metrics", metrics_app, metrics_listen, rules, ground.metrics)
        await _work(work, metrics_server, stop)


def _listen(
    settings: Settings, process: frozenset[str], port: int, graceful_seconds: int | None = None
) -> Listen:
    alone = process == _PROCESSES["serve"]
    everywhere = "0.0.0.0"  # noqa: S104 - a pod listens on the address that it is given
    host = settings.server.host or ("127.0.0.1" if alone else everywhere)
    return Listen(host, port, graceful_seconds or settings.server.graceful_shutdown_seconds)


def _serving(
    name: str, app: ASGIApp, listen: Listen, rules: ConnectionRules, metrics: Metrics
) -> Work:
    listening = bind(
        listen
    )  # before any task begins: a taken port ends the process with its reason

    async def work(stop: asyncio.Event) -> None:
        host, port, *_ = listening.getsockname()
        structlog.get_logger("healthingest.main").info(STARTED, server=name, host=host, port=port)
        refused = metrics.connections_refused
        await serve(
            app,
            listening,
            listen,
            stop,
            rules=rules,
            on_refused=lambda reason: refused.labels(reason).inc(),
        )

    return work


def _leaving_first(serving: Work, health: HealthBoard, seconds: float) -> Work:
    """*serving*, which is not ready any more at once, and takes requests for *seconds* more."""

    async def work(stop: asyncio.Event) -> None:
        late = asyncio.Event()

        async def leave() -> None:
            await stop.wait()
            health.leave()
            await asyncio.sleep(seconds)
            late.set()

        async with asyncio.TaskGroup() as tasks:
            leaving = tasks.create_task(leave())
            await serving(late)
            leaving.cancel()

    return work


async def _work(work: Sequence[Work], metrics_server: Work, stop: asyncio.Event) -> None:
    """All of *work* until *stop*; metrics and liveness can be read to the very end."""
    metrics_stop = asyncio.Event()
    async with asyncio.TaskGroup() as outer:
        outer.create_task(metrics_server(metrics_stop))
        try:
            async with asyncio.TaskGroup() as inner:
                for one in work:
                    inner.create_task(one(stop))
        finally:
            metrics_stop.set()


async def _print_events(settings: Settings, stop: asyncio.Event, *, from_start: bool) -> None:
    async def follow_file() -> None:
        async for message in follow(parts.queue_file(settings), from_start=from_start):
            sys.stdout.write(json.dumps(message, sort_keys=True) + "\n")
            sys.stdout.flush()

    following = asyncio.create_task(follow_file())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({following, stopping}, return_when=asyncio.FIRST_COMPLETED)
    for task in (following, stopping):
        task.cancel()
    outcomes = await asyncio.gather(following, stopping, return_exceptions=True)
    if isinstance(outcomes[0], Exception):
        raise outcomes[0]
