"""The command `healthingest-service`, which runs one process; `serve` runs all in one."""

import argparse
import asyncio
import gc
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
from healthingest_service.adapters.queue_file import follow
from healthingest_service.api.app import create_app
from healthingest_service.api.metrics_port import create_metrics_app
from healthingest_service.api.server import Listen
from healthingest_service.health.board import Check, HealthBoard
from healthingest_service.main import settings_checks
from healthingest_service.main.api import (
    VERSION,
    api_dependencies,
    connection_rules,
    metrics_connection_rules,
    open_api_ports,
)
from healthingest_service.main.decorators import Decorators
from healthingest_service.main.janitor import open_janitor
from healthingest_service.main.process_exit import cause_of, report_failure, write_stop_cause
from healthingest_service.main.relay import open_notifier, open_relay
from healthingest_service.main.runtime import (
    Component,
    Runtime,
    Work,
    database_url,
    open_runtime,
    open_store,
    queue_file,
)
from healthingest_service.main.serving import run_until, serve_app, with_shutdown_delay
from healthingest_service.main.tls_files import database_tls_material
from healthingest_service.main.tracing import open_tracing
from healthingest_service.settings import InvalidSettingsError, Settings, load, unknown_names
from healthingest_service.telemetry.logs import configure_logging
from healthingest_service.uploads.announcing import ANNOUNCEMENTS

UNKNOWN_SETTINGS: Final = "unknown_settings"
_METRICS_GRACEFUL_SECONDS: Final = 1
_CHECK_SECONDS: Final = 2.0
_COLLECTED_OBJECTS: Final = 10_000
"""New objects after which the garbage collector runs; Python's 700 come with ten uploads."""
_PROCESSES: Final = {
    "serve": frozenset({"api", "relay", "janitor"}),
    "api": frozenset({"api"}),
    "relay": frozenset({"relay"}),
    "janitor": frozenset({"janitor"}),
}


def main(
    arguments: Sequence[str] | None = None,
    *,
    decorate: Decorators = Decorators(),  # noqa: B008 - frozen
    allow_short_leases: bool = False,
) -> int:
    """
    Run one command; returns the exit code: 0 success, 1 failure, 2 invalid settings.

    Fault tests wrap ports with *decorate*, and allow leases shorter than the longest call.
    """
    options = _parser().parse_args(arguments)
    try:
        settings = load()
        settings_checks.check_required_secrets(settings, options.command)
        settings_checks.check_store_keys(settings, options.command, os.environ)
        settings_checks.check_mail_settings(settings)
        if not allow_short_leases:
            settings_checks.check_lease_durations(settings)
        configure_logging(sys.stderr, level=settings.server.log_level)
        unknown = unknown_names(os.environ)
        if unknown:
            structlog.get_logger("healthingest.main").warning(UNKNOWN_SETTINGS, names=unknown)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_command(options, settings, decorate))
    except (InvalidSettingsError, OSError) as error:
        sys.stderr.write(f"healthingest-service: {error}\n")
        has_no_keys = isinstance(error, settings_checks.StoreKeysMissingError)
        write_stop_cause(
            StopCause.STORE_KEYS_MISSING if has_no_keys else StopCause.SETTINGS_REFUSED
        )
        return 2
    except Exception as error:  # noqa: BLE001 - a traceback would print foreign messages
        report_failure(error)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="healthingest-service", description="Run the upload API, the relay or the janitor."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser(
        "serve", help="migrate the database, then run api, relay and janitor in one process"
    )
    commands.add_parser("api", help="run the upload API")
    commands.add_parser("relay", help="publish the messages of the outbox to the broker")
    commands.add_parser(
        "janitor", help="settle unfinished uploads, and check objects against the database"
    )
    commands.add_parser("migrate", help="migrate the database to the schema of this version")
    events = commands.add_parser("events", help="print new messages of the embedded queue file")
    events.add_argument("--from-start", action="store_true", help="also print earlier messages")
    return parser


async def _command(options: argparse.Namespace, settings: Settings, decorate: Decorators) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if options.command in {"migrate", "serve"}:
        url = database_url(settings)
        await migrate(
            url,
            timeout_seconds=settings.database.migrate_timeout_seconds,
            tls=database_tls_material(settings),
        )
    if options.command == "events":
        await _print_events(settings, stop, from_start=options.from_start)
    elif options.command in _PROCESSES:
        await run(settings, _PROCESSES[options.command], stop, decorate)


async def run(
    settings: Settings, process: frozenset[str], stop: asyncio.Event, decorate: Decorators
) -> None:
    """Run the components of *process* until *stop* is set."""
    async with AsyncExitStack() as stack:
        tracing = await stack.enter_async_context(
            open_tracing(settings, service=_service_name(process), version=VERSION)
        )
        runtime = await open_runtime(settings, stack, tracing=tracing)
        components = [await _open_announcing(runtime, stack, process, decorate)]
        checks = list(runtime.checks)
        if process & {"api", "janitor"}:
            store = await open_store(runtime, stack)
            checks.append(store.check)
        if "janitor" in process:
            components.append(await open_janitor(runtime, stack, store, decorate))
        checks += [check for one in components for check in one.checks]
        work = [work for one in components for work in one.work]
        if "api" in process:
            ports = await open_api_ports(
                runtime, stack, store, decorate=decorate, checks_broker="relay" not in process
            )
            health = _health(runtime, [*checks, *ports.checks])
            app = decorate.app(create_app(api_dependencies(runtime, ports, health)))
            work += [_serve_api(runtime, app, health, process), *ports.work]
        else:
            health = _health(runtime, checks)
            work.append(health.run)
        gc.freeze()  # what was made until now stays until the end
        gc.set_threshold(_COLLECTED_OBJECTS)
        await run_until(stop, work, _serve_metrics(runtime, health, process))


def _service_name(process: frozenset[str]) -> str:
    """Return the name of the process in traces."""
    return f"healthingest-{next(iter(process))}" if len(process) == 1 else "healthingest"


async def _open_announcing(
    runtime: Runtime, stack: AsyncExitStack, process: frozenset[str], decorate: Decorators
) -> Component:
    if "relay" in process:
        return await open_relay(runtime, stack, decorate)
    return open_notifier(runtime)


def _health(runtime: Runtime, checks: Sequence[Check]) -> HealthBoard:
    return HealthBoard(
        checks,
        metrics=runtime.metrics,
        interval_seconds=runtime.settings.server.health_interval_seconds,
        timeout_seconds=_CHECK_SECONDS,
        cause_of=cause_of,
    )


def _serve_api(
    runtime: Runtime, app: ASGIApp, health: HealthBoard, process: frozenset[str]
) -> Work:
    server = runtime.settings.server
    listen = _listen(runtime.settings, process, server.port, server.graceful_shutdown_seconds)
    rules = connection_rules(runtime.settings)
    serving = serve_app("api", app, listen, rules, runtime.metrics)
    return with_shutdown_delay(serving, health, server.shutdown_delay_seconds)


def _serve_metrics(runtime: Runtime, health: HealthBoard, process: frozenset[str]) -> Work:
    app = create_metrics_app(runtime.metrics, health, decisive=ANNOUNCEMENTS)
    port = runtime.settings.server.metrics_port
    listen = _listen(runtime.settings, process, port, _METRICS_GRACEFUL_SECONDS)
    rules = metrics_connection_rules(runtime.settings)
    return serve_app("metrics", app, listen, rules, runtime.metrics)


def _listen(
    settings: Settings, process: frozenset[str], port: int, graceful_seconds: int
) -> Listen:
    all_in_one = process == _PROCESSES["serve"]
    everywhere = ""  # a pod has addresses of IPv4, of IPv6, or of both
    host = settings.server.host or ("127.0.0.1" if all_in_one else everywhere)
    return Listen(host, port, graceful_seconds)


async def _print_events(settings: Settings, stop: asyncio.Event, *, from_start: bool) -> None:
    async def follow_file() -> None:
        async for message in follow(queue_file(settings), from_start=from_start):
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
