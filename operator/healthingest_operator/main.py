"""The composition root: settings, adapters, queue, workers, kopf. Nothing else knows concrete classes."""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import kopf
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from healthingest_operator.adapters.cache import RedisCache
from healthingest_operator.adapters.child_watch import ChildWatch, Told
from healthingest_operator.adapters.kubernetes import KubernetesCluster, kubernetes_cluster
from healthingest_operator.adapters.leases import KubernetesLeases
from healthingest_operator.adapters.postgres import PostgresDatabase
from healthingest_operator.adapters.rabbitmq import rabbitmq_broker
from healthingest_operator.adapters.s3 import s3_object_store
from healthingest_operator.adapters.system import SystemClock, system_generators
from healthingest_operator.handlers import children, healthingest, lifecycle
from healthingest_operator.handlers.endpoints import Ports, endpoints
from healthingest_operator.handlers.leading import Fence, fence, fenced, leading
from healthingest_operator.handlers.logs import configure_logs
from healthingest_operator.handlers.outcomes import Telemetry
from healthingest_operator.handlers.watches import WATCH_SECONDS, Watches
from healthingest_operator.model.spec import Key
from healthingest_operator.reconcile.converge import Look, Outcome, World, converge
from healthingest_operator.reconcile.deletion import finalize
from healthingest_operator.reconcile.leadership import Election
from healthingest_operator.reconcile.loop import Loop, Rhythm
from healthingest_operator.reconcile.queue import KeyedQueue, Lane
from healthingest_operator.resources.rotation import Policy
from healthingest_operator.settings import Settings


def main() -> None:
    """The console script `healthingest-operator`."""
    settings = Settings()  # type: ignore[call-arg] # the environment gives the rest
    # A signal while it waits for leadership cancels it: that is how it should end.
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(run(settings))


async def run(settings: Settings) -> None:
    """Serve until a signal says stop."""
    logger = configure_logs(settings.log_level)
    metrics = _metrics()
    telemetry = Telemetry(metrics, logger)
    queue: KeyedQueue[Key] = KeyedQueue(time.monotonic)
    watches = Watches(time.monotonic)
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(kubernetes_cluster(settings.kubernetes_timeout_seconds))
        election = _election(settings, cluster)
        check = fence(election, telemetry)
        world = _fenced(await _world(settings, cluster, stack), check)
        await stack.enter_async_context(
            endpoints(
                Ports(settings.health_port, settings.metrics_port),
                metrics,
                partial(_refresh, telemetry, queue, watches),
                watches.are_alive,
            )
        )

        async def work(key: Key, look: Look) -> Outcome:
            return await converge(world, key, look)

        loop = Loop(queue, work, Rhythm(settings.resync_seconds, settings.glance_seconds), telemetry)
        leave = _leaving(settings, world, queue, telemetry)
        async with leading(election, telemetry), asyncio.TaskGroup() as group:
            tasks = [group.create_task(loop.run(), name=f"worker-{number}") for number in range(settings.workers)]
            watch = _child_watch(cluster, queue, watches)
            paths = children.paths(settings.namespace_list)
            tasks.extend(group.create_task(watch.run(path), name=f"watch {path}") for path in paths)
            try:
                await _serve(settings, queue, leave, (watches, check))
            finally:
                for task in tasks:
                    task.cancel()


def _election(settings: Settings, cluster: KubernetesCluster) -> Election | None:
    if not settings.lease_namespace:
        return None
    leases = KubernetesLeases(cluster, settings.lease_namespace, settings.lease_name)
    # A pod's host name is unique; on one machine the process tells operators apart.
    return Election(leases, f"{socket.gethostname()}-{os.getpid()}", time.monotonic)


def _leaving(settings: Settings, world: World, queue: KeyedQueue[Key], telemetry: Telemetry) -> healthingest.Finalize:
    """Deletions have workers of their own, so that no pass is waited for but one over the same HealthIngest."""
    workers = asyncio.Semaphore(settings.deletions)
    deadline = timedelta(seconds=settings.deletion_deadline_seconds)

    async def leave(key: Key, body: Mapping[str, Any]) -> bool:
        async with queue.alone(key), workers:
            farewell = await finalize(world, body, deadline)
        world.memory.forget(key)
        if farewell.left:
            telemetry.left_behind(key, farewell.left)
        return farewell.may_go

    return leave


def _child_watch(cluster: KubernetesCluster, queue: KeyedQueue[Key], watches: Watches) -> ChildWatch:
    # Who was changed in a gap of a watch nobody knows, and a child that was removed in it is in no list.
    told = Told(partial(children.changed, queue), partial(queue.poke_all, Lane.CHILD), watches.opened)
    return ChildWatch(cluster, children.SELECTOR, WATCH_SECONDS, told)


def _refresh(telemetry: Telemetry, queue: KeyedQueue[Key], watches: Watches) -> None:
    """Bring gauges up to date."""
    for lane in Lane:
        telemetry.queue_depth.labels(lane.name.lower()).set(queue.depth(lane))
    telemetry.watch_age.set(watches.age_seconds())


async def _serve(
    settings: Settings, queue: KeyedQueue[Key], leave: healthingest.Finalize, traces: tuple[Watches, Fence]
) -> None:
    registry = kopf.OperatorRegistry()
    lifecycle.register(registry, *traces)
    healthingest.register(registry, queue, leave)
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


async def _world(settings: Settings, cluster: KubernetesCluster, stack: AsyncExitStack) -> World:
    patience = settings.dependency_timeout_seconds
    return World(
        cluster=cluster,
        store=await stack.enter_async_context(s3_object_store(patience)),
        broker=await stack.enter_async_context(rabbitmq_broker(patience)),
        database=PostgresDatabase(patience),
        cache=RedisCache(patience),
        clock=SystemClock(),
        generators=system_generators(),
        service_image=settings.service_image,
        rotation=Policy(
            timedelta(days=settings.rotate_after_days) if settings.rotate_after_days else None,
            timedelta(seconds=settings.consumer_grace_seconds),
        ),
    )


def _fenced(world: World, check: Fence) -> World:
    return replace(
        world,
        cluster=fenced(world.cluster, check),
        store=fenced(world.store, check),
        broker=fenced(world.broker, check),
        database=fenced(world.database, check),
        cache=fenced(world.cache, check),
    )


def _metrics() -> CollectorRegistry:
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    return registry


if __name__ == "__main__":
    main()
