"""
A queueing model of an installation, calibrated by measured service demands; pure.

A service demand is the processor time that an upload needs at a component. By the utilisation law,
a component with m processors is busy for the share X * D / m of the time at X uploads a second.
Its ceiling is m / D. The time of a request in a pod is that of a queue M/M/c with Erlang's C
formula. Source: Lazowska, Zahorjan, Graham, Sevcik, "Quantitative System Performance", 1984,
chapters 3 and 5; Kleinrock, "Queueing Systems", volume 1, 1975, section 3.5.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

Demands = Mapping[str, float]
"""The milliseconds of processor time of an upload by component."""

POD: Final = ("API", "gate")
"""The components of an API pod: more pods have more of them."""
TARGET_UTILISATION: Final = 0.7
"""As the default of `spec.autoscaling.targetCPUUtilizationPercentage`."""
FACTORS: Final = (1, 10, 100, 10_000)
POD_PROCESSORS: Final = (1, 2, 4)
UTILISATIONS: Final = (0.5, 0.7, 0.9)


@dataclass(frozen=True, slots=True)
class Limit:
    """
    What bounds one component, and the engine that takes over there.

    `processors` bounds its processor time, `per_second` its uploads; None: it does not.
    """

    component: str
    processors: float | None
    per_second: float | None
    why: str
    engine: str


LIMITS: Final = (
    Limit(
        "API",
        None,
        None,
        "more pods",
        "the HorizontalPodAutoscaler of `spec.autoscaling`, on processor time",
    ),
    Limit("gate", None, None, "it runs in the API pods", "the same"),
    Limit(
        "relay",
        1,
        None,
        "one pod with a limit of 1 CPU (`spec.relay.resources`)",
        "a larger limit; then several relays, scaled by KEDA on the waiting messages. They may run "
        "side by side, but the operator has no field for their number yet",
    ),
    Limit(
        "janitor",
        1,
        None,
        "one process that works",
        "its work is in batches; it falls behind and catches up",
    ),
    Limit(
        "Redis",
        1,
        None,
        "it executes commands in one thread",
        "a cluster of Redis, by account; without Redis each process counts alone",
    ),
    Limit(
        "RabbitMQ",
        1,
        None,
        "a quorum queue has one leader, which is one process",
        "a cluster of three nodes and a queue for each record type; then super streams",
    ),
    Limit(
        "PostgreSQL",
        32,
        None,
        "one primary; 32 processors are assumed",
        "a connection pooler and a larger machine; then an installation for each group of studies; "
        "partitions of `upload` by time keep indexes small",
    ),
    Limit(
        "S3",
        None,
        3500,
        "Amazon S3 takes 3,500 PUT requests a second for each prefix",
        "prefixes: keys begin with the record type and the date, and S3 splits busy prefixes",
    ),
)
"""
The component named S3 has no bound by the measured processor time, which is that of versitygw.

Sources: https://redis.io/docs/latest/develop/reference/clients/ (one thread),
https://www.rabbitmq.com/docs/quorum-queues (leader), and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html (prefixes).
"""


@dataclass(frozen=True, slots=True)
class Load:
    """A component at a rate: the processors it needs at the target, and whether it has them."""

    limit: Limit
    processors: float
    is_beyond: bool


def erlang_c(processors: int, offered: float) -> float:
    """
    Return the probability that a request waits.

    *offered* is the offered load in Erlangs, below *processors*.

    Raises:
        ValueError: the load is not below the number of processors, so the queue has no limit.
    """
    if not 0 <= offered < processors:
        message = "the offered load must be below the number of processors"
        raise ValueError(message)
    below = math.fsum(offered**k / math.factorial(k) for k in range(processors))
    all_busy = offered**processors / math.factorial(processors)
    all_busy *= processors / (processors - offered)
    return all_busy / (below + all_busy)


def response_ms(demand_ms: float, processors: int, utilisation: float) -> float:
    """Return the mean time of a request in milliseconds: its own work, and the time it waits."""
    waits = erlang_c(processors, processors * utilisation)
    return demand_ms * (1 + waits / (processors * (1 - utilisation)))


def pod_per_second(demands: Demands, processors: float, utilisation: float = 1.0) -> float:
    """Return the uploads a second of an API pod with so many processors."""
    return processors * utilisation * 1000 / sum(demands[name] for name in POD)


def ceiling(limit: Limit, demands: Demands) -> float | None:
    """Return the most uploads a second of a component, or None if it has no bound."""
    demand = demands[limit.component]
    bounds = [limit.per_second] if limit.per_second is not None else []
    if limit.processors is not None and demand > 0:  # too little to be measured: no bound
        bounds.append(limit.processors * 1000 / demand)
    return min(bounds, default=None)


def loads(demands: Demands, per_second: float) -> list[Load]:
    """Return each component at a rate."""
    return [
        Load(
            limit,
            per_second * demands[limit.component] / 1000 / TARGET_UTILISATION,
            is_beyond=(most := ceiling(limit, demands)) is not None and per_second > most,
        )
        for limit in LIMITS
    ]


def first_to_break(demands: Demands) -> Sequence[tuple[Limit, float]]:
    """Return the components with a ceiling and their uploads a second, the lowest first."""
    found = [(limit, most) for limit in LIMITS if (most := ceiling(limit, demands)) is not None]
    return sorted(found, key=lambda pair: pair[1])
