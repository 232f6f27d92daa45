"""
Why a process of the service ended, as it leaves it for the operator.

The process writes one line to the file that Kubernetes shows as the container's termination message
(`terminationMessagePath`); the operator finds a condition's reason and message by the code in it.
Codes, never texts.
"""

import re
from enum import StrEnum
from typing import Final

TERMINATION_LOG: Final = "/dev/termination-log"
"""Kubernetes' default path; it is writable also where the root is read-only."""
_LINE: Final = re.compile(r"^healthingest-cause: ([a-z-]{1,40})$", re.MULTILINE)


class StopCause(StrEnum):
    """What can be told of an end."""

    SETTINGS_REFUSED = "settings-refused"
    DATABASE_UNREACHABLE = "database-unreachable"
    DATABASE_LOGIN_REFUSED = "database-login-refused"
    DATABASE_MISSING = "database-missing"
    DATABASE_PERMISSION_DENIED = "database-permission-denied"
    DATABASE_READ_ONLY = "database-read-only"
    DATABASE_CONNECTION_LIMIT = "database-connection-limit"
    DATABASE_FULL = "database-full"
    DATABASE_LOCKED = "database-locked"
    SCHEMA_UNKNOWN = "schema-unknown"
    SCHEMA_DIFFERS = "schema-differs"


def stop_line(cause: StopCause) -> str:
    """The line for a cause."""
    return f"healthingest-cause: {cause.value}\n"


def stop_cause(text: str) -> StopCause | None:
    """The last cause in a termination message; None: there is none that this version knows."""
    codes = _LINE.findall(text)
    return StopCause(codes[-1]) if codes and codes[-1] in set(StopCause) else None
