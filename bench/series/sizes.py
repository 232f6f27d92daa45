"""How much a run measures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

KB: Final = 1_000
MB: Final = 1_000_000
GIB: Final = 1024**3


@dataclass(frozen=True, slots=True)
class Sizes:
    """
    The rounds of each series, and where it grows.

    `seconds` is the length of a burst of uploads, `minutes` how long the operator is watched at
    rest.
    """

    records: int
    runs: int
    rounds: int
    seconds: float
    minutes: float
    bytes: Sequence[int]
    clients: Sequence[int]
    accounts: Sequence[int]
    rows: Sequence[int]
    replicas: Sequence[int]
    healthingests: Sequence[int]


WHOLE: Final = Sizes(
    records=100_000,
    runs=9,
    rounds=7,
    seconds=6.0,
    minutes=3.0,
    bytes=(KB, 10 * KB, 100 * KB, MB, 10 * MB, 100 * MB, GIB),
    clients=(1, 4, 16, 64, 256),
    accounts=(1, 100, 10_000, 1_000_000),
    rows=(0, 10_000, 100_000, 1_000_000, 10_000_000),
    replicas=(1, 2, 3, 4),
    healthingests=(10, 100, 1_000),
)

QUICK: Final = Sizes(
    records=10_000,
    runs=3,
    rounds=2,
    seconds=1.5,
    minutes=0.5,
    bytes=(KB, 100 * KB, 10 * MB),
    clients=(1, 16, 64),
    accounts=(1, 1_000),
    rows=(0, 100_000),
    replicas=(1, 2),
    healthingests=(10,),
)
