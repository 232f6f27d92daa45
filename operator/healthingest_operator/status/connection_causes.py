"""Causes that every system outside has in common: how a connection to it can fail."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from healthingest_contract.conditions import ConditionType, Reason
from healthingest_operator.status.causes import Cause


class ConnectionFailure(StrEnum):
    """How a connection failed."""

    UNKNOWN_NAME = "name-not-found"
    REFUSED = "refused"
    SILENT = "silent"
    CLOSED = "closed"
    UNTRUSTED = "untrusted"
    NOT_TLS = "not-tls"
    WANTS_TLS = "wants-tls"


_ROWS: Final = (
    (
        ConnectionFailure.UNKNOWN_NAME,
        Reason.NAME_NOT_FOUND,
        "a host name that DNS does not know",
        "the host name of {where} is not known to DNS",
        (
            "correct the host, or create the Service of this name; the operator asks from its own"
            " namespace"
        ),
    ),
    (
        ConnectionFailure.REFUSED,
        Reason.UNREACHABLE,
        "a port on which nothing listens",
        "{where} cannot be reached: the connection is refused",
        "start it or correct the port; a NetworkPolicy or firewall can refuse, too",
    ),
    (
        ConnectionFailure.SILENT,
        Reason.UNREACHABLE,
        "no answer in time",
        "{where} does not answer in time",
        "see whether it works, and whether a NetworkPolicy or firewall drops packets",
    ),
    (
        ConnectionFailure.CLOSED,
        Reason.UNREACHABLE,
        "a port that hangs up",
        "{where} closes the connection without an answer",
        (
            "it is starting, or another protocol, or TLS, is spoken on this port: then correct"
            " scheme or port"
        ),
    ),
    (
        ConnectionFailure.UNTRUSTED,
        Reason.TLS_FAILED,
        "a certificate that is not trusted",
        "the certificate of {where} is not trusted, has expired or is for another name",
        "use the name in the certificate, and an authority that the operator trusts",
    ),
    (
        ConnectionFailure.NOT_TLS,
        Reason.TLS_FAILED,
        "TLS to a port without TLS",
        "{where} does not speak TLS, which the address asks for",
        "use the port for TLS, or an address without it",
    ),
    (
        ConnectionFailure.WANTS_TLS,
        Reason.TLS_FAILED,
        "a port for TLS, addressed without it",
        "{where} speaks TLS, for which the address does not ask",
        "use scheme https, amqps or rediss, for PostgreSQL sslmode=require",
    ),
)


@dataclass(frozen=True, slots=True)
class Connections:
    """The causes of one system; `{where}` in their messages is its name and address."""

    rows: dict[ConnectionFailure, Cause]

    def __getitem__(self, failure: ConnectionFailure) -> Cause:
        return self.rows[failure]


def connections(code: str, system: str, condition: ConditionType) -> Connections:
    """Rows of *system*, whose codes begin with *code*."""
    return Connections(
        {
            failure: Cause(
                f"{code}-{failure.value}",
                (condition,),
                reason,
                f"{system}: {broken}",
                message,
                remedy,
            )
            for failure, reason, broken, message, remedy in _ROWS
        }
    )
