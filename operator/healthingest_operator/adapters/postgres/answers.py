"""
Conversion of asyncpg's errors into causes; their texts are not repeated.

Source: PostgreSQL documentation, "PostgreSQL Error Codes".
"""

import re
import struct
from typing import Final
from urllib.parse import parse_qs, urlsplit

import asyncpg

from healthingest_contract.conditions import Reason
from healthingest_contract.database_address import read_database_address
from healthingest_operator.adapters.connection_errors import OF_CERTIFICATES, answer_to, failure_of
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.status import outside_causes as causes
from healthingest_operator.status.causes import Cause
from healthingest_operator.status.connection_causes import ConnectionFailure

_BY_STATE: Final[dict[str, Cause]] = {
    "28P01": causes.DATABASE_LOGIN,
    "28000": causes.DATABASE_ROLE_LOCKED,
    "3D000": causes.DATABASE_MISSING,
    "42501": causes.DATABASE_ADMIN_RIGHTS,
    "53300": causes.DATABASE_LIMIT,
    "57P03": causes.DATABASE_STARTING,
    "57P01": causes.DATABASE_STARTING,
    "57P02": causes.DATABASE_STARTING,
}
_READ_ONLY: Final = "25006"
_SSL_REQUEST: Final = struct.pack(
    "!II", 8, 80877103
)  # PostgreSQL documentation, "Message Formats", SSLRequest
_NO_TLS: Final = b"N"
_POSTGRESQL: Final = frozenset({b"S", _NO_TLS})
_LINES: Final = b"GET / HTTP/1.0\r\n\r\n"
_LINE: Final = re.compile(rb"^(HTTP/|[+-])")
_SECURE: Final = frozenset({"require", "verify-ca", "verify-full"})


def place(url: str) -> str:
    """Return the address of the server, for messages."""
    return f"PostgreSQL at {read_database_address(url).place}"


def named(url: str) -> dict[str, str]:
    """Return the values of an address that messages contain."""
    address = read_database_address(url)
    return {"where": place(url), "user": address.user, "database": address.database}


async def connection_error(error: BaseException, url: str) -> DependencyError:
    """Return *error*, raised by a request to the database of *url*, as a `DependencyError`."""
    state = getattr(error, "sqlstate", None)
    if state == _READ_ONLY:
        return DependencyError.of(
            causes.DATABASE_READ_ONLY, where=place(url), why="it refused a write"
        )
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        why = "no host has the state that target_session_attrs names"
        return DependencyError.of(causes.DATABASE_READ_ONLY, where=place(url), why=why)
    if state in _BY_STATE:
        return DependencyError.of(_BY_STATE[state], **named(url))
    if isinstance(error, asyncpg.PostgresConnectionError | asyncpg.InternalClientError | OSError):
        return await _of_connection(error, url)
    return DependencyError(Reason.REQUEST_REFUSED, f"{place(url)} refuses: {type(error).__name__}")


async def _of_connection(error: BaseException, url: str) -> DependencyError:
    """
    Return the error for a failed connection.

    asyncpg does not distinguish other servers from PostgreSQL. A second connection therefore sends
    the first message of the protocol and checks the response.
    """
    hung_up = (
        type(error) is ConnectionError
    )  # asyncpg raises it for a closed connection and for refused TLS
    failure = ConnectionFailure.CLOSED if hung_up else failure_of(error)
    if failure in {ConnectionFailure.UNKNOWN_NAME, *OF_CERTIFICATES} or isinstance(
        error, ConnectionRefusedError
    ):
        return DependencyError.of(causes.DATABASE[failure], where=place(url))
    host, port = read_database_address(url).hosts[0]
    address = f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"
    answer = await answer_to(address, _SSL_REQUEST)
    if answer == _NO_TLS and (_mode(url) in _SECURE or not _mode(url)):
        return DependencyError.of(causes.DATABASE[ConnectionFailure.NOT_TLS], where=place(url))
    if await _is_another_protocol(address, answer):
        return DependencyError.of(causes.NOT_POSTGRESQL, where=place(url))
    return DependencyError.of(causes.DATABASE[failure], where=place(url))


async def _is_another_protocol(address: str, answer: bytes) -> bool:
    """
    Whether *answer*, the response to PostgreSQL's request for TLS, is not PostgreSQL's.

    A server that sends no response may respond to a line of HTTP.
    """
    if answer:
        return answer not in _POSTGRESQL
    return _LINE.match(await answer_to(address, _LINES)) is not None


def _mode(url: str) -> str:
    found = parse_qs(urlsplit(url).query)
    return (found.get("sslmode") or found.get("ssl") or [""])[0]
