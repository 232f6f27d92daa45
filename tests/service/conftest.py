"""An API on embedded parts for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.edge import Edge, open_edge


@pytest.fixture(name="edge")
async def _edge(tmp_path: Path) -> AsyncIterator[Edge]:
    async with open_edge(tmp_path, limits={"max_file_size_bytes": 4096}) as edge:
        yield edge
