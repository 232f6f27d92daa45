"""The ports of each process by name, and hooks that wrap them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from starlette.types import ASGIApp

from healthingest_service.erasure.ports import ErasureLog, ErasureWork
from healthingest_service.uploads.ports import Gate, Ledger, ObjectStore, Spool
from healthingest_service.uploads.relay_ports import EventPublisher, Outbox
from healthingest_service.uploads.resumable_ports import ResumableUploads

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadPorts:
    """The ports of the use case that accepts uploads."""

    ledger: Ledger
    store: ObjectStore
    gate: Gate
    spool: Spool


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayPorts:
    """The ports of the relay."""

    outbox: Outbox
    publisher: EventPublisher


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumablePorts:
    """The ports of the use case that receives files in parts."""

    uploads: ResumableUploads
    store: ObjectStore
    spool: Spool


@dataclass(frozen=True, slots=True, kw_only=True)
class JanitorPorts:
    """The ports of the janitor."""

    ledger: Ledger
    store: ObjectStore


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasurePorts:
    """The ports of the use case that erases."""

    work: ErasureWork
    store: ObjectStore
    log: ErasureLog


def _unchanged(ports: T) -> T:
    return ports


@dataclass(frozen=True, slots=True, kw_only=True)
class Decorators:
    """
    Wrappers of ports and of the API application. The default wraps nothing.

    Fault tests pass their own; see `tests/support/faults`.
    """

    upload: Callable[[UploadPorts], UploadPorts] = _unchanged
    resumable: Callable[[ResumablePorts], ResumablePorts] = _unchanged
    relay: Callable[[RelayPorts], RelayPorts] = _unchanged
    janitor: Callable[[JanitorPorts], JanitorPorts] = _unchanged
    erasure: Callable[[ErasurePorts], ErasurePorts] = _unchanged
    app: Callable[[ASGIApp], ASGIApp] = _unchanged
