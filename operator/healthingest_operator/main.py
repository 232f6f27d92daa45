"""The composition root: settings, adapters, queue, workers, kopf. Nothing else knows concrete classes."""

import asyncio
import socket
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import kopf
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from healthingest_operator.adapters.kubernetes import kubernetes_cluster
from healthingest_operator.adapters.postgres import PostgresDatabase
from healthingest_operator.adapters.rabbitmq import rabbitmq_broker
from healthingest_operator.adapters.s3 import S3ObjectStore
from healthingest_operator.adapters.system import SystemClock, system_generators
from healthingest_operator.handlers import children, healthingest, lifecycle
from healthingest_operator.handlers.endpoints import endpoints
from healthingest_operator.handlers.logs import configure_logs
from healthingest_operator.handlers.outcomes import Telemetry
from healthingest_operator.model.spec import Key
from healthingest_operator.reconcile.converge import Outcome, World, converge
from healthingest_operator.reconcile.deletion import finalize
from healthingest_operator.reconcile.loop import Loop, Rhythm
from healthingest_operator.reconcile.queue import KeyedQueue
from healthingest_operator.settings import Settings


def main() -> None:
    """The console script `healthingest-operator`."""
    settings = Settings()  # type: ignore[call-arg] # the environment gives the rest
    asyncio.run(run(settings))


async def run(settings: Settings) -> None:
    """Serve until a signal says stop."""
    logger = configure_logs(settings.log_level)
    metrics = _metrics()
    telemetry = Telemetry(metrics, logger)
    queue: KeyedQueue[Key] = KeyedQueue(time.monotonic)
    async with AsyncExitStack() as stack:
        world = await _world(settings, stack)
        await stack.enter_async_context(
            endpoints(
                settings.health_port, settings.metrics_port, metrics, lambda: telemetry.queue_depth.set(len(queue))
            )
        )

        async def work(key: Key) -> Outcome:
            return await converge(world, key)

        async def leave(body: Mapping[str, Any]) -> bool:
            return await finalize(world, body, timedelta(seconds=settings.deletion_deadline_seconds))

        loop = Loop(queue, work, Rhythm(settings.resync_seconds), telemetry)
        async with asyncio.TaskGroup() as group:
            workers = [group.create_task(loop.run(), name=f"worker-{number}") for number in range(settings.workers)]
            try:
                await _serve(settings, queue, leave)
            finally:
                for worker in workers:
                    worker.cancel()


async def _serve(settings: Settings, queue: KeyedQueue[Key], leave: healthingest.Finalize) -> None:
    registry = kopf.OperatorRegistry()
    lifecycle.register(registry)
    healthingest.register(registry, queue, leave)
    children.register(registry, queue)
    namespaces = settings.namespace_list
    # Without one kopf asks for the user's name, and a pod's user has none. kopf keeps the type to itself.
    identity: Any = socket.gethostname()
    await kopf.operator(
        registry=registry,
        settings=lifecycle.operator_settings(settings.kubernetes_timeout_seconds),
        identity=identity,
        standalone=True,
        clusterwide=not namespaces,
        namespaces=namespaces,
    )


async def _world(settings: Settings, stack: AsyncExitStack) -> World:
    patience = settings.dependency_timeout_seconds
    return World(
        cluster=await stack.enter_async_context(kubernetes_cluster(settings.kubernetes_timeout_seconds)),
        store=S3ObjectStore(patience),
        broker=await stack.enter_async_context(rabbitmq_broker(patience)),
        database=PostgresDatabase(patience),
        clock=SystemClock(),
        generators=system_generators(),
        service_image=settings.service_image,
    )


def _metrics() -> CollectorRegistry:
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    return registry


if __name__ == "__main__":
    main()
