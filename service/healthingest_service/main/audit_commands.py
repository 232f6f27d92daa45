"""The commands `healthingest-admin audit`, and the record of the other commands."""

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Final

from healthingest_service.adapters.database.migrate import is_current
from healthingest_service.adapters.database.studies import DatabaseStudies
from healthingest_service.audit.errors import AuditUnavailableError
from healthingest_service.audit.export import fhir_line, json_line
from healthingest_service.audit.model import Action, Outcome
from healthingest_service.audit.recorder import AuditRecorder
from healthingest_service.audit.verification import PAGE, VerifyChain
from healthingest_service.main.janitor import open_anchors
from healthingest_service.main.runtime import Runtime, open_runtime, utc_now
from healthingest_service.settings import Settings
from healthingest_service.studies.model import Pseudonym, StudySlug, SubjectState

COMMAND_ACTIONS: Final[Mapping[str, Action | None]] = {
    "account create": Action.ACCOUNT_CREATE,
    "account deactivate": Action.ACCOUNT_DEACTIVATE,
    "account admin": Action.ADMIN_CHANGE,
    "study create": Action.STUDY_CREATE,
    "study show": None,
    "study open": Action.STUDY_CHANGE,
    "study close": Action.STUDY_CHANGE,
    "study member": Action.MEMBER_CHANGE,
    "subject show": Action.SUBJECT_READ,
    "subject enrol": Action.SUBJECT_ENROL,
    "subject withdraw": Action.SUBJECT_WITHDRAW,
    "token enrol": Action.ENROLMENT_CREATE,
    "token list": Action.DEVICE_TOKEN_READ,
    "token revoke": Action.DEVICE_TOKEN_REVOKE,
    "erase subject": Action.ERASURE_REQUEST,
    "erase upload": Action.ERASURE_REQUEST,
    "erase account": Action.ERASURE_REQUEST,
    "erase study": Action.ERASURE_REQUEST,
    "erase status": None,
    "erase verify": None,
    "erasure-key export": Action.ERASURE_KEY_EXPORT,
    "backlog": None,
    "dead list": None,
    "dead show": None,
    "dead redrive": Action.DEAD_LETTER_REDRIVE,
    "dead drop": Action.DEAD_LETTER_DROP,
    "uploads repair": Action.UPLOADS_REPAIR,
    "uploads forget": Action.UPLOADS_FORGET,
    "ledger rebuild": Action.LEDGER_REBUILD,
    "replay": Action.REPLAY,
    "audit verify": None,
    "audit export": None,
}
"""
The action of each command, recorded after it has run; a test fails for a command without a row.

None: it is not recorded, because it has no data of anybody, or, for an export, was before.
"""
FORMATS: Final = {"json": json_line, "fhir": fhir_line}
"""The formats of an export, and the function that makes a line of each."""


async def verify(settings: Settings) -> Mapping[str, object]:
    """Verify the chain, and return what was found; `intact` says whether all is well."""
    async with AsyncExitStack() as stack:
        runtime = await stack.enter_async_context(_runtime(settings))
        anchors = await open_anchors(runtime, stack)
        found = await VerifyChain(runtime.audit, anchors, clock=utc_now)()
    return {
        "intact": found.is_intact,
        "events": found.events,
        "pruned_events": found.pruned_events,
        "anchors": found.anchors,
        "waiting_events": found.waiting_events,
        "head": None if found.head is None else asdict(found.head),
        "fault_count": found.fault_count,
        "faults": [
            {name: value for name, value in asdict(fault).items() if value is not None}
            for fault in found.faults
        ],
    }


async def export(settings: Settings, form: str, *, after: int) -> Mapping[str, object]:
    """Write every chained event with a position above *after* to standard output, one a line."""
    line = FORMATS[form]
    count = 0
    async with _runtime(settings) as runtime:
        await _recorder(runtime).by_administrator(Action.AUDIT_EXPORT, Outcome.DONE)
        while rows := await runtime.audit.page(after=after, limit=PAGE):
            for link, stored in rows:
                if stored is not None:
                    sys.stdout.write(line(link, stored) + "\n")
                    count += 1
            after = rows[-1][0].position
    return {"exported": count, "last_position": after}


@dataclass(frozen=True, slots=True)
class CommandObject:
    """What a command acted on. *subject* is a pseudonym."""

    object_id: str | None = None
    study: str | None = None
    subject: str | None = None


async def record(
    settings: Settings, action: Action, outcome: Outcome, acted_on: CommandObject
) -> None:
    """Record another command in the audit log."""
    async with _runtime(settings) as runtime:
        await _recorder(runtime).by_administrator(
            action,
            outcome,
            object_id=acted_on.object_id,
            study=acted_on.study,
            subject_hash=await _subject_hash(runtime, acted_on),
        )


async def _subject_hash(runtime: Runtime, acted_on: CommandObject) -> str | None:
    if acted_on.study is None or acted_on.subject is None:
        return None
    studies = DatabaseStudies(
        runtime.engine, timeout_seconds=runtime.settings.database.timeout_seconds
    )
    found = await studies.subject(StudySlug(acted_on.study), Pseudonym(acted_on.subject))
    if found is None or found.state is SubjectState.ERASED:
        return None
    return await runtime.subject_hashes.of(found.id, found.pseudonym)


def _recorder(runtime: Runtime) -> AuditRecorder:
    return AuditRecorder(runtime.audit, runtime.audit, clock=utc_now)


@asynccontextmanager
async def _runtime(settings: Settings) -> AsyncIterator[Runtime]:
    async with AsyncExitStack() as stack:
        runtime = await open_runtime(settings, stack)
        if not await is_current(runtime.engine, timeout_seconds=settings.database.timeout_seconds):
            raise AuditUnavailableError
        yield runtime
