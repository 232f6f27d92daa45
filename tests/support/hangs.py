"""
A guard against a hang anywhere in a test, also in its fixtures and in compiled code.

pytest-timeout guards the function of a test only, by an exception, which code may swallow. This
guard ends the process; pytest-xdist then reports the test and goes on with a new process.
"""

import faulthandler
from collections.abc import Generator
from typing import Final

import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key

END_SECONDS: Final = 1200
"""Twice the default timeout of a test; to start a server and to fill it takes less."""
_OPTION: Final = "end_seconds"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting, which a test of this guard makes small."""
    parser.addini(_OPTION, "seconds after which a phase of a test is a hang", default=END_SECONDS)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Guard the fixtures that are set up."""
    return (yield from _guarded(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Guard the function."""
    return (yield from _guarded(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Guard the fixtures that are torn down, also those of the whole run."""
    return (yield from _guarded(item))


def _guarded(item: pytest.Item) -> Generator[None, object, object]:
    """
    Print the stacks of all threads and end the process, if the phase does not end in time.

    pytest's `faulthandler_timeout` is not enough: it is switched off at the first failure of a test
    and does not cover the teardown that follows.
    """
    mark = item.get_closest_marker("timeout")
    seconds = float(item.config.getini(_OPTION)) + (mark.args[0] if mark is not None else 0)
    # The output of a test is captured. Only pytest has the real one, under a private name.
    real = item.config.stash[fault_handler_stderr_fd_key]
    faulthandler.dump_traceback_later(seconds, exit=True, file=real)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()
