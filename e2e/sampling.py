"""Chooses which of many similar cases a run takes: a sample by seed, or all with `LONG=1`."""

import os
import random
from collections.abc import Iterable
from typing import Final

LONG: Final = os.environ.get("LONG", "") not in {"", "0"}
SEED: Final = int(os.environ.get("SEED") or "1")


def sample(cases: Iterable[str], count: int) -> list[str]:
    """Return *count* cases that `SEED` chooses, in their order, or all in a long run."""
    given = list(cases)
    if LONG or count >= len(given):
        return given
    chosen = set(random.Random(SEED).sample(given, count))  # noqa: S311 - one seed, one choice
    return [case for case in given if case in chosen]
