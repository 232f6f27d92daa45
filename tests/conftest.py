"""
What holds for every test.

The plugins with fixtures and for parallel runs, and that nothing is left open or configured.
"""

import gc
import itertools
from collections.abc import Iterator
from typing import Final

import pytest
import structlog
from hypothesis import settings

pytest_plugins = [
    "support.instances",
    "support.control_plane",
    "support.faulty_cluster",
    "support.hangs",
    "support.parallel",
]

# A busy machine is slow, which is no property of the code; the seed of a failure is printed by the
# plugin.
settings.register_profile("healthingest", deadline=None, print_blob=True)
settings.load_profile("healthingest")


_COLLECTS_ALL_EVERY: Final = 25
"""What lives longer than so many tests is left out of the collections that follow them."""
_tests: Final = itertools.count()


def pytest_collection_finish() -> None:
    """Keep what exists now out of later garbage collections, which then take milliseconds."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _leaves_nothing_open() -> Iterator[None]:
    """
    A socket or file that a test leaves open fails that test.

    Without the collection some later test would fail in its place.
    """
    if next(_tests) % _COLLECTS_ALL_EVERY == 0:
        gc.collect()
        gc.freeze()
    yield
    gc.collect()


@pytest.fixture(autouse=True)
def _leaves_the_log_as_it_was() -> Iterator[None]:
    """A command that a test runs in this process sets the level of the log for all that follow."""
    yield
    structlog.reset_defaults()
