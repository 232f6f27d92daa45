"""The wall-clock limits of tests: guards against a hang, never a statement about speed."""

from typing import Final

HANG_SECONDS: Final = 60.0
"""A condition that is not true by then will not become true. A busy machine must not reach it."""
