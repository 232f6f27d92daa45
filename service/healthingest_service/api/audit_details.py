"""What a route tells the audit log about its request; see `audit_trail`."""

from uuid import UUID

from fastapi import Request

from healthingest_service.api.api_dependencies import ApiDependencies
from healthingest_service.audit.model import Action, AuditEvent, Outcome
from healthingest_service.audit.recorder import EventDetails, client_event
from healthingest_service.identity.model import Principal
from healthingest_service.studies.model import Subject, SubjectState
from healthingest_service.uploads.audit_events import subject_hash_of
from healthingest_service.uploads.model import Upload


def details_of(request: Request) -> EventDetails:
    """Return the details of the event of this request, to which a route adds what it knows."""
    details: EventDetails = request.state.audit
    return details


def success_of(
    request: Request,
    deps: ApiDependencies,
    principal: Principal,
    action: Action,
    object_id: UUID,
) -> AuditEvent:
    """Return the event of a success, which the use case records in the transaction of *action*."""
    details = details_of(request)
    details.account_id = principal.account_id
    details.token_id = principal.token_id
    details.object_id = str(object_id)
    return client_event(action, Outcome.DONE, details, at=deps.clock())


async def note_subject(request: Request, deps: ApiDependencies, subject: Subject | None) -> None:
    """Note whom the request is about. An erased subject stays without a hash."""
    if subject is None or subject.state is SubjectState.ERASED:
        return
    details = details_of(request)
    details.study = subject.study
    details.subject_hash = await deps.subject_hashes.of(subject.id, subject.pseudonym)


async def note_upload(request: Request, deps: ApiDependencies, upload: Upload) -> None:
    """Note whom the upload is about."""
    if upload.subject is None:
        return
    details = details_of(request)
    details.study = upload.study
    details.subject_hash = await subject_hash_of(upload, deps.subject_hashes)
