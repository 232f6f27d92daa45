"""Causes that all external systems share: the ways in which a connection can fail."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from healthingest_contract.conditions import ConditionType, Reason
from healthingest_operator.status.causes import Cause


class ConnectionFailure(StrEnum):
    """The way in which a connection failed."""

    UNKNOWN_NAME = "name-not-found"
    REFUSED = "refused"
    SILENT = "silent"
    CLOSED = "closed"
    UNTRUSTED = "untrusted"
    EXPIRED = "expired"
    NAME_MISMATCH = "name-mismatch"
    NOT_TLS = "not-tls"
    WANTS_TLS = "wants-tls"


_ROWS: Final = (
    (
        ConnectionFailure.UNKNOWN_NAME,
        Reason.NAME_NOT_FOUND,
        "a host name that DNS does not know",
        "the host name of {where} is not known to DNS",
        (
            "correct the host, or create the Service of this name; the operator resolves it in its"
            " own namespace"
        ),
    ),
    (
        ConnectionFailure.REFUSED,
        Reason.UNREACHABLE,
        "a port on which nothing listens",
        "{where} cannot be reached: the connection is refused",
        "start it or correct the port; a NetworkPolicy or firewall can also refuse connections",
    ),
    (
        ConnectionFailure.SILENT,
        Reason.UNREACHABLE,
        "no answer in time",
        "{where} does not answer in time",
        "check that it works, and that no NetworkPolicy or firewall drops packets",
    ),
    (
        ConnectionFailure.CLOSED,
        Reason.UNREACHABLE,
        "a port that closes the connection",
        "{where} closes the connection without an answer",
        (
            "wait if it is starting; otherwise correct scheme or port: the port expects TLS or"
            " another protocol"
        ),
    ),
    (
        ConnectionFailure.UNTRUSTED,
        Reason.CERTIFICATE_UNTRUSTED,
        "a certificate that is not trusted",
        "the certificate of {where} is not signed by a trusted certificate authority",
        "set spec.FIELD.tls.caBundle or spec.tls.caBundle to its certificate authority",
    ),
    (
        ConnectionFailure.EXPIRED,
        Reason.CERTIFICATE_EXPIRED,
        "an expired certificate",
        "the certificate of {where} or its certificate authority has expired or is not valid yet",
        "renew it; if it is new, correct the clocks",
    ),
    (
        ConnectionFailure.NAME_MISMATCH,
        Reason.CERTIFICATE_NAME_MISMATCH,
        "a certificate for another host name",
        "the certificate of {where} is for another host name",
        "use a host name of the certificate in the address, or issue one for this host name",
    ),
    (
        ConnectionFailure.NOT_TLS,
        Reason.TLS_FAILED,
        "TLS to a port without TLS",
        "{where} does not speak TLS, which the address requires",
        (
            "use the TLS port, or an address without TLS; for PostgreSQL, where a caBundle applies,"
            " that is sslmode=disable"
        ),
    ),
    (
        ConnectionFailure.WANTS_TLS,
        Reason.TLS_FAILED,
        "a TLS port with an address without TLS",
        "{where} speaks TLS, and the address does not use it",
        "use scheme https, amqps or rediss; for PostgreSQL add sslmode=require",
    ),
)


@dataclass(frozen=True, slots=True)
class Connections:
    """The causes of one system; `{where}` in their messages is its name and address."""

    rows: dict[ConnectionFailure, Cause]

    def __getitem__(self, failure: ConnectionFailure) -> Cause:
        return self.rows[failure]


def connections(code: str, system: str, condition: ConditionType, part_of_spec: str) -> Connections:
    """Return the causes for *system*; their codes begin with *code*."""
    return Connections(
        {
            failure: Cause(
                f"{code}-{failure.value}",
                (condition,),
                reason,
                f"{system}: {broken}",
                message,
                remedy.replace("FIELD", part_of_spec),
            )
            for failure, reason, broken, message, remedy in _ROWS
        }
    )
