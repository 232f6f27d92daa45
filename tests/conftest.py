"""
What holds for every test.

The plugins with fixtures, the groups of a parallel run, and that nothing is left open.
"""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import settings

pytest_plugins = ["support.instances", "support.control_plane"]

_GROUPS: Final = {
    "cluster": "cluster",  # they watch and list across namespaces of one API server
    "client": "client",  # one server of the service for all of them
}
"""Folders whose tests run in one process, by the name of its group."""
_BROKER_USERS: Final = "test_operator_"
"""Modules of the ports whose users of the broker have fixed names: they share a process, too."""

# A busy machine is slow, which is no property of the code; the seed of a failure is printed by the
# plugin.
settings.register_profile("healthingest", deadline=None, print_blob=True)
settings.load_profile("healthingest")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of some folders together when several processes run the tests."""
    here = Path(__file__).parent
    for item in items:
        folder = item.path.relative_to(here).parts[0] if item.path.is_relative_to(here) else ""
        if folder in _GROUPS:
            item.add_marker(pytest.mark.xdist_group(_GROUPS[folder]))
        elif folder == "ports" and item.path.name.startswith(_BROKER_USERS):
            item.add_marker(pytest.mark.xdist_group("broker users"))


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
    yield
    gc.collect()
