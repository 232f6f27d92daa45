"""What holds for every test: the plugins with fixtures, and how long a test may take."""

from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = ["support.instances", "support.control_plane"]

REAL_SERVER_FOLDERS = frozenset({"ports", "seams", "cluster"})
REAL_SERVER_SECONDS = 60
PROPERTY_SECONDS = 60

# A busy machine is slow, which is no property of the code; the seed of a failure is printed by the plugin.
settings.register_profile("healthingest", deadline=None, print_blob=True)
settings.load_profile("healthingest")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that talk to real servers, by their folder, and property tests get more than a unit test's two seconds."""
    here = Path(__file__).parent
    for item in items:
        folder = item.path.relative_to(here).parts[0] if item.path.is_relative_to(here) else ""
        if folder in REAL_SERVER_FOLDERS and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(REAL_SERVER_SECONDS))
        elif item.get_closest_marker("hypothesis") and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(PROPERTY_SECONDS))
