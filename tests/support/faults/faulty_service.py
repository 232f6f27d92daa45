"""
`python -m support.faults.faulty_service COMMAND`: the service with fault points.

The command is `healthingest-service` with wrapped ports; `FAULT_POINTS` names the folder of faults.
"""

import os
import sys
from dataclasses import replace
from pathlib import Path

from starlette.types import ASGIApp

from healthingest_service.main.cli import main
from healthingest_service.main.decorators import (
    Decorators,
    ErasurePorts,
    JanitorPorts,
    RelayPorts,
    ResumablePorts,
    UploadPorts,
)
from support.erasure_points import PREFIX
from support.faults.announcing import FaultyOutbox, FaultyPublisher
from support.faults.answering import FaultyAnswers
from support.faults.points import VARIABLE, Faults
from support.faults.stepping import with_points
from support.faults.storing import (
    ACCEPTING_LEDGER,
    ACCEPTING_STORE,
    SETTLING_LEDGER,
    SETTLING_STORE,
    FaultyGate,
    FaultyLedger,
    FaultySpool,
    FaultyStore,
)


def decorators(faults: Faults) -> Decorators:
    """Return decorators whose wrappers inject *faults*."""

    def upload(ports: UploadPorts) -> UploadPorts:
        return replace(
            ports,
            ledger=FaultyLedger(ports.ledger, faults, ACCEPTING_LEDGER),
            store=FaultyStore(ports.store, faults, ACCEPTING_STORE),
            gate=FaultyGate(ports.gate, faults),
            spool=FaultySpool(ports.spool, faults),
        )

    def resumable(ports: ResumablePorts) -> ResumablePorts:
        return replace(
            ports,
            uploads=with_points(ports.uploads, faults, prefix="resumable_"),
            store=with_points(ports.store, faults, prefix="resumable_"),
        )

    def relay(ports: RelayPorts) -> RelayPorts:
        return replace(
            ports,
            outbox=FaultyOutbox(ports.outbox, faults),
            publisher=FaultyPublisher(ports.publisher, faults),
        )

    def janitor(ports: JanitorPorts) -> JanitorPorts:
        return replace(
            ports,
            ledger=FaultyLedger(ports.ledger, faults, SETTLING_LEDGER),
            store=FaultyStore(ports.store, faults, SETTLING_STORE),
        )

    def erasure(ports: ErasurePorts) -> ErasurePorts:
        return ErasurePorts(
            work=with_points(ports.work, faults, prefix=PREFIX),
            store=with_points(ports.store, faults, prefix=PREFIX),
            log=with_points(ports.log, faults, prefix=PREFIX),
        )

    def app(inner: ASGIApp) -> ASGIApp:
        return FaultyAnswers(inner, faults)

    return Decorators(
        upload=upload,
        resumable=resumable,
        relay=relay,
        janitor=janitor,
        erasure=erasure,
        app=app,
    )


if __name__ == "__main__":
    made = decorators(Faults(Path(os.environ[VARIABLE])))
    sys.exit(main(decorate=made, allow_short_leases=True))
