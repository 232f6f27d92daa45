"""Finds the cause of a database error from SQLSTATE codes and exception types."""

import ssl
from collections.abc import Sequence
from typing import Final

import asyncpg
from alembic.util import CommandError

from healthingest_contract.related_errors import related_errors
from healthingest_contract.stop_causes import StopCause
from healthingest_contract.tls import CertificateProblem, certificate_problem
from healthingest_service.uploads.errors import LedgerUnavailableError

_BY_STATE: Final = {
    "25006": StopCause.DATABASE_READ_ONLY,
    "28P01": StopCause.DATABASE_LOGIN_REFUSED,
    "28000": StopCause.DATABASE_LOGIN_REFUSED,
    "3D000": StopCause.DATABASE_MISSING,
    "42501": StopCause.DATABASE_PERMISSION_DENIED,
    "53300": StopCause.DATABASE_CONNECTION_LIMIT,
    "53100": StopCause.DATABASE_FULL,
    "55P03": StopCause.DATABASE_LOCKED,
    "57014": StopCause.DATABASE_LOCKED,
}
"""
Causes by SQLSTATE (PostgreSQL documentation, "PostgreSQL Error Codes").

57014 is a cancelled statement, for example after its timeout.
"""
_BY_PROBLEM: Final = {
    CertificateProblem.UNTRUSTED: StopCause.DATABASE_CERTIFICATE_UNTRUSTED,
    CertificateProblem.EXPIRED: StopCause.DATABASE_CERTIFICATE_EXPIRED,
    CertificateProblem.NAME_MISMATCH: StopCause.DATABASE_CERTIFICATE_NAME_MISMATCH,
}
_BY_TYPE: Final[tuple[tuple[type[BaseException], StopCause], ...]] = (
    (asyncpg.TargetServerAttributeNotMatched, StopCause.DATABASE_READ_ONLY),
    (LedgerUnavailableError, StopCause.DATABASE_UNREACHABLE),
)
_OBJECT_ERRORS: Final = "42"
"""SQLSTATE class of tables and columns that are missing or exist already."""


def database_cause(error: BaseException) -> StopCause | None:
    """Return the cause of a database error; None for other errors."""
    errors = tuple(related_errors(error, "orig"))
    states = tuple(str(state) for one in errors if (state := getattr(one, "sqlstate", None)))
    if (cause := _cause_of_states(states)) is not None:
        return cause
    if _has_type(errors, CommandError):
        return StopCause.SCHEMA_UNKNOWN
    if any(state.startswith(_OBJECT_ERRORS) for state in states):
        return StopCause.SCHEMA_DIFFERS
    return _cause_of_certificates(errors) or _cause_of_types(errors)


def _cause_of_states(states: Sequence[str]) -> StopCause | None:
    return next((_BY_STATE[state] for state in states if state in _BY_STATE), None)


def _cause_of_certificates(errors: Sequence[BaseException]) -> StopCause | None:
    refused = (one for one in errors if isinstance(one, ssl.SSLCertVerificationError))
    return next((_BY_PROBLEM[certificate_problem(one)] for one in refused), None)


def _cause_of_types(errors: Sequence[BaseException]) -> StopCause | None:
    return next((cause for kind, cause in _BY_TYPE if _has_type(errors, kind)), None)


def _has_type(errors: Sequence[BaseException], kind: type[BaseException]) -> bool:
    return any(isinstance(error, kind) for error in errors)
