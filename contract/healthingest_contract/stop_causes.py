"""
Codes for the reason why a process of the service ended.

The process writes one line with the code to the termination message of its container
(`terminationMessagePath`). The operator maps the code to reason and message of a condition.
"""

import re
from enum import StrEnum
from typing import Final

TERMINATION_LOG: Final = "/dev/termination-log"
"""The default path of Kubernetes, writable also with a read-only root file system."""
_LINE: Final = re.compile(r"^healthingest-cause: ([a-z-]{1,40})$", re.MULTILINE)


class StopCause(StrEnum):
    """The causes that the operator can report."""

    SETTINGS_REFUSED = "settings-refused"
    STORE_KEYS_MISSING = "store-keys-missing"
    STORE_TOKEN_REFUSED = "store-token-refused"  # noqa: S105 - not a secret
    STORE_TOKEN_MISSING = "store-token-missing"  # noqa: S105 - the same
    STORE_TOKEN_SERVICE_UNREACHABLE = "store-token-service-unreachable"  # noqa: S105 - the same
    DATABASE_UNREACHABLE = "database-unreachable"
    DATABASE_CERTIFICATE_UNTRUSTED = "database-certificate-untrusted"
    DATABASE_CERTIFICATE_EXPIRED = "database-certificate-expired"
    DATABASE_CERTIFICATE_NAME_MISMATCH = "database-certificate-name-mismatch"
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
    """Return the line of a termination message for *cause*."""
    return f"healthingest-cause: {cause.value}\n"


def stop_cause(text: str) -> StopCause | None:
    """Return the last cause in a termination message; None if there is no known cause."""
    codes = _LINE.findall(text)
    return StopCause(codes[-1]) if codes and codes[-1] in set(StopCause) else None
