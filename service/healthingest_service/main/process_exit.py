"""Reports why a process ends: a line on standard error, a log event, a code for the operator."""

import os
import sys
from pathlib import Path
from typing import Final

import structlog

from healthingest_contract.pod_identity import IdentityFailure, PodIdentityError
from healthingest_contract.related_errors import related_errors
from healthingest_contract.stop_causes import TERMINATION_LOG, StopCause, stop_line
from healthingest_service.adapters.database.stop_causes import database_cause

STOPPED: Final = "stopped"
_MESSAGES: Final = {
    StopCause.SETTINGS_REFUSED: "a setting is refused",
    StopCause.STORE_KEYS_MISSING: "there are no keys for the object store",
    StopCause.STORE_TOKEN_REFUSED: (
        "the token service refuses the token of this pod: check role, audience, and whom the role"
        " trusts"
    ),
    StopCause.STORE_TOKEN_MISSING: (
        "the file of AWS_WEB_IDENTITY_TOKEN_FILE or AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE cannot"
        " be read or is empty"
    ),
    StopCause.STORE_TOKEN_SERVICE_UNREACHABLE: "the token service cannot be reached",
    StopCause.DATABASE_UNREACHABLE: "the database cannot be reached",
    StopCause.DATABASE_CERTIFICATE_UNTRUSTED: (
        "the certificate of the database is not signed by a trusted certificate authority: set"
        " HEALTHINGEST_DATABASE__CA_FILE"
    ),
    StopCause.DATABASE_CERTIFICATE_EXPIRED: (
        "the certificate of the database has expired or is not valid yet: renew it"
    ),
    StopCause.DATABASE_CERTIFICATE_NAME_MISMATCH: (
        "the certificate of the database is for another host: use a host name in the certificate"
    ),
    StopCause.DATABASE_LOGIN_REFUSED: "the database refuses the login: check user and password",
    StopCause.DATABASE_MISSING: "the database does not exist: create it",
    StopCause.DATABASE_PERMISSION_DENIED: (
        "the database user lacks a permission: grant CREATE on its schema"
    ),
    StopCause.DATABASE_READ_ONLY: "the database is read-only: use the address of the primary",
    StopCause.DATABASE_CONNECTION_LIMIT: (
        "the database accepts no more connections: raise max_connections"
    ),
    StopCause.DATABASE_FULL: "the disk of the database is full: enlarge it",
    StopCause.DATABASE_LOCKED: (
        "another session holds a lock for too long, or the deadline has passed"
    ),
    StopCause.SCHEMA_UNKNOWN: (
        "the database has a revision that this version does not know: use another database"
    ),
    StopCause.SCHEMA_DIFFERS: "the tables of the database do not match its revision",
}


_OF_IDENTITY: Final = {
    IdentityFailure.NO_TOKEN: StopCause.STORE_TOKEN_MISSING,
    IdentityFailure.REFUSED: StopCause.STORE_TOKEN_REFUSED,
    IdentityFailure.UNREACHABLE: StopCause.STORE_TOKEN_SERVICE_UNREACHABLE,
}


def cause_of(error: BaseException) -> StopCause | None:
    """Return the known cause of *error*; None for other errors."""
    for one in related_errors(error):
        if isinstance(one, PodIdentityError):
            return _OF_IDENTITY[one.failure]
    return database_cause(error)


def report_failure(error: BaseException, *, log: Path = Path(TERMINATION_LOG)) -> None:
    """Report why *error* ends this process; its types and stack are logged, not its message."""
    cause = cause_of(error)
    structlog.get_logger("healthingest.main").error(
        STOPPED, cause=cause and cause.value, exc_info=error
    )
    words = (
        _MESSAGES[cause]
        if cause
        else "unexpected error; the log event `stopped` has its type and stack"
    )
    sys.stderr.write(f"healthingest-service: {words}\n")
    if cause is not None:
        write_stop_cause(cause, log=log)


def write_stop_cause(cause: StopCause, *, log: Path = Path(TERMINATION_LOG)) -> None:
    """Write the code to the termination message of the container; outside a pod do nothing."""
    if log.is_file() and os.access(log, os.W_OK):
        log.write_text(stop_line(cause), encoding="utf-8")
