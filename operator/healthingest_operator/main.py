"""
The composition root: it builds settings, adapters, queue, workers and kopf.

No other module knows concrete classes.
"""

import asyncio
import os
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import kopf
import structlog
import uvloop
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from healthingest_contract.pod_identity import pod_identity
from healthingest_operator.adapters.kubernetes.access import read_access
from healthingest_operator.adapters.kubernetes.child_watch import ChildWatch, WatchCallbacks
from healthingest_operator.adapters.kubernetes.cluster import KubernetesCluster, kubernetes_cluster
from healthingest_operator.adapters.kubernetes.leases import KubernetesLeases
from healthingest_operator.adapters.postgres.database import PostgresDatabase
from healthingest_operator.adapters.rabbitmq.broker import rabbitmq_broker
from healthingest_operator.adapters.redis_cache import RedisCache
from healthingest_operator.adapters.s3.store import s3_object_store
from healthingest_operator.adapters.system import SystemClock, system_generators
from healthingest_operator.api.healthingest import Key
from healthingest_operator.api.manifest import ManifestView
from healthingest_operator.handlers import children, healthingest
from healthingest_operator.reconcile.credentials.rotation import Policy
from healthingest_operator.reconcile.finalize import finalize
from healthingest_operator.reconcile.leader_election import Election
from healthingest_operator.reconcile.loop import Loop, RequeuePolicy
from healthingest_operator.reconcile.outcome import Outcome, ReconcileMode
from healthingest_operator.reconcile.ports import Ports
from healthingest_operator.reconcile.queue import KeyedQueue, Lane
from healthingest_operator.reconcile.reconcile import reconcile
from healthingest_operator.runtime import kopf_settings
from healthingest_operator.runtime.endpoints import ListenPorts, endpoints
from healthingest_operator.runtime.leadership import Fence, Signals, Term, fenced, lead, signals
from healthingest_operator.runtime.watches import WATCH_SECONDS, Watches
from healthingest_operator.settings import Settings
from healthingest_operator.telemetry.logs import configure_logging
from healthingest_operator.telemetry.metrics import Telemetry


def main() -> None:
    """Run the operator; the console script `healthingest-operator`."""
    settings = Settings()  # type: ignore[call-arg] # required fields come from the environment
    # asyncio's own loop keeps more memory for connections with TLS.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(settings))


async def run(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT."""
    configure_logging(sys.stdout, level=settings.log_level)
    metrics = _metrics()
    telemetry = Telemetry(metrics, structlog.stdlib.get_logger("healthingest_operator"))
    with signals() as received:
        async with kubernetes_cluster(settings.kubernetes_timeout_seconds) as cluster:
            operator = _Operator(settings, cluster, telemetry, received)
            listen_ports = ListenPorts(settings.health_port, settings.metrics_port)
            async with endpoints(listen_ports, metrics, operator.refresh, operator.is_alive):
                await lead(_election(settings, cluster), telemetry, operator.serve, received.stop)


class _Operator:
    """
    Runs the workers, watches and kopf while this process is the leader.

    Each term of leadership begins with an empty queue, new watches and new clients.
    """

    def __init__(
        self,
        settings: Settings,
        cluster: KubernetesCluster,
        telemetry: Telemetry,
        received: Signals,
    ) -> None:
        self._settings = settings
        self._cluster = cluster
        self._telemetry = telemetry
        self._signals = received
        self._queue: KeyedQueue[Key] = KeyedQueue(time.monotonic)
        self._watches = Watches(time.monotonic)

    def is_alive(self) -> bool:
        """Whether the watches report changes; a process that is not the leader has none."""
        return self._watches.are_alive()

    def refresh(self) -> None:
        """Update the gauges of the metrics."""
        for lane in Lane:
            self._telemetry.queue_depth.labels(lane.name.lower()).set(self._queue.depth(lane))
        self._telemetry.watch_age.set(self._watches.age_seconds())
        self._telemetry.refused_namespaces.set(self._watches.refused_namespaces())

    async def serve(self, term: Term) -> None:
        """Work until *term* is over; see `lead`."""
        settings = self._settings
        telemetry = self._telemetry
        queue = self._queue = KeyedQueue(time.monotonic)
        watches = self._watches = Watches(time.monotonic, telemetry.namespace)
        try:
            async with AsyncExitStack() as stack:
                ports = _fenced(await _ports(settings, self._cluster, stack), term.check)

                async def work(key: Key, mode: ReconcileMode) -> Outcome:
                    return await reconcile(ports, key, mode)

                loop = Loop(
                    queue,
                    work,
                    RequeuePolicy(settings.resync_seconds, settings.external_check_seconds),
                    telemetry,
                    ports.records,
                )
                watch = _child_watch(self._cluster, queue, watches)
                registry = kopf.OperatorRegistry()
                kopf_settings.register(registry, watches, term.check, read_access)
                healthingest.register(registry, queue, _finalize(settings, ports, queue, telemetry))
                async with asyncio.TaskGroup() as group:
                    tasks = [
                        group.create_task(loop.run(), name=f"worker-{n}")
                        for n in range(settings.workers)
                    ]
                    paths = children.paths(settings.namespace_list)
                    tasks.extend(
                        group.create_task(watch.run(path), name=f"watch {path}") for path in paths
                    )
                    tasks.append(group.create_task(_cancel_after(term.over, tasks), name="over"))
                    try:
                        await _run_kopf(settings, registry, term.over, self._signals)
                    finally:
                        for task in tasks:
                            task.cancel()
        finally:
            # Without leadership there are no watches, whose age must then not fail the liveness
            # probe.
            self._queue = KeyedQueue(time.monotonic)
            self._watches = Watches(time.monotonic)


async def _cancel_after(over: asyncio.Event, tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel workers and watches at once when *over* is set; kopf ends its own tasks meanwhile."""
    await over.wait()
    for task in tasks:
        task.cancel()


def _election(settings: Settings, cluster: KubernetesCluster) -> Election | None:
    if not settings.lease_namespace:
        return None
    times = settings.election_times
    leases = KubernetesLeases(
        cluster, settings.lease_namespace, settings.lease_name, times.lease_duration
    )
    # A pod's host name is unique; the process id distinguishes operators on one machine.
    return Election(leases, f"{socket.gethostname()}-{os.getpid()}", time.monotonic, times=times)


def _finalize(
    settings: Settings, ports: Ports, queue: KeyedQueue[Key], telemetry: Telemetry
) -> healthingest.Finalize:
    """
    Return the function that carries out a deletion, outside the queue.

    A deletion waits only for a worker that reconciles the same HealthIngest.
    """
    workers = asyncio.Semaphore(settings.deletions)
    deadline = timedelta(seconds=settings.deletion_deadline_seconds)

    async def run(key: Key, body: ManifestView) -> bool:
        async with queue.alone(key), workers:
            finalized = await finalize(ports, body, deadline)
        ports.records.forget(key)
        if finalized.left_behind:
            telemetry.left_behind(key, finalized.left_behind)
        return finalized.may_remove_finalizer

    return run


def _child_watch(
    cluster: KubernetesCluster, queue: KeyedQueue[Key], watches: Watches
) -> ChildWatch:
    # After a gap in a watch the changed objects are unknown, and a list lacks deleted children.
    # Therefore all keys are enqueued.
    callbacks = WatchCallbacks(
        partial(children.enqueue_owners, queue),
        partial(queue.enqueue_all, Lane.CHILD),
        watches.opened,
        watches.refused,
    )
    return ChildWatch(cluster, children.SELECTOR, WATCH_SECONDS, callbacks)


async def _run_kopf(
    settings: Settings, registry: kopf.OperatorRegistry, over: asyncio.Event, received: Signals
) -> None:
    """Run kopf until *over* is set."""
    namespaces = settings.namespace_list
    # Without an identity kopf asks for the user's name, which a pod's user does not have. kopf does
    # not export the type.
    identity: Any = socket.gethostname()
    others = asyncio.all_tasks()
    tasks = await kopf.spawn_tasks(
        registry=registry,
        settings=kopf_settings.operator_settings(settings.kubernetes_timeout_seconds),
        identity=identity,
        standalone=True,
        clusterwide=not namespaces,
        namespaces=namespaces,
        stop_flag=over,
    )
    # kopf has installed its own signal handlers, which would remain after the term.
    received.handle()
    await kopf.run_tasks(tasks, ignored=others)


async def _ports(settings: Settings, cluster: KubernetesCluster, stack: AsyncExitStack) -> Ports:
    patience = settings.dependency_timeout_seconds
    return Ports(
        cluster=cluster,
        store=await stack.enter_async_context(s3_object_store(patience, pod_identity(os.environ))),
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


def _fenced(ports: Ports, check: Fence) -> Ports:
    return replace(
        ports,
        cluster=fenced(ports.cluster, check),
        store=fenced(ports.store, check),
        broker=fenced(ports.broker, check),
        database=fenced(ports.database, check),
        cache=fenced(ports.cache, check),
    )


def _metrics() -> CollectorRegistry:
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    return registry


if __name__ == "__main__":
    main()
