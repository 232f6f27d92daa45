"""The wall-clock limits of tests: guards against a hang, not expectations of speed."""

from typing import Final

HANG_SECONDS: Final = 150.0
"""A condition that is not true after this time is never true, even on a busy machine."""
