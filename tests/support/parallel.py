"""Which tests may run at the same time when several processes run them."""

from pathlib import PurePosixPath
from typing import Any, Final

import pytest
from xdist.scheduler import LoadScopeScheduling

_GROUPS: Final = {
    "tests/cluster": "cluster",  # they watch and list across namespaces of one API server
    "tests/client": "client",  # one server of the service for all of them
}
"""Folders whose tests run in one process, by the name of its group."""
_MODULES: Final = {"tests/ports/test_page.py": "page"}  # one browser for all of them
"""Modules whose tests run in one process, by the name of its group."""
_BROKER_USERS: Final = "tests/ports/test_operator_"
"""Modules of the ports whose users of the broker have fixed names: they share a process, too."""


def group_of(nodeid: str) -> str:
    """Return the group of a test; a test that may run beside any other is its own group."""
    path = nodeid.partition("::")[0]
    if path.startswith(_BROKER_USERS):
        return "broker users"
    if path in _MODULES:
        return _MODULES[path]
    return _GROUPS.get(PurePosixPath(path).parent.as_posix(), nodeid)


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc] # xdist ships no types
    """
    Gives the tests of a group to one process.

    The mark `xdist_group` has no effect: pytest-xdist 3.8 changes `_nodeid`, which pytest 9.2 no
    longer has.
    """

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


@pytest.hookimpl(optionalhook=True)
# ANN401: as xdist calls it
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> GroupScheduling:  # noqa: ANN401
    """Return the scheduler of this run."""
    return GroupScheduling(config, log)
