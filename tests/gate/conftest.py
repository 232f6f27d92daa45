"""How long a test of the gate may take: only hanging is a fault, for work is counted."""

from pathlib import Path

import pytest

HANGING_SECONDS = 120


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A guard against hanging for each that has none."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(HANGING_SECONDS))
