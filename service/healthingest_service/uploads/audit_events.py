"""The events of uploads in the audit log."""

from datetime import datetime
from uuid import UUID

from healthingest_contract import object_keys
from healthingest_service.audit.model import Action, ActorKind, AuditEvent, Outcome
from healthingest_service.audit.recorder import recorded_token_id
from healthingest_service.audit.subjects import SubjectHashes
from healthingest_service.uploads.model import Upload


def uploaded(
    upload: Upload, *, token_id: str | None, subject_hash: str | None = None, at: datetime
) -> AuditEvent:
    """
    Return the event of an accepted upload; without *token_id* the janitor completed it.

    An upload into the study `default` has neither study nor subject, so it is in no index of them.
    The correlation id is not in it: a client may have chosen it, and it is erased with the upload.
    """
    return AuditEvent(
        occurred_at=at,
        actor=ActorKind.SYSTEM if token_id is None else ActorKind.ACCOUNT,
        action=Action.UPLOAD,
        outcome=Outcome.DONE,
        account_id=upload.owner,
        token_id=recorded_token_id(token_id),
        object_id=str(upload.id),
        study=None if upload.subject is None else upload.study,
        subject_hash=subject_hash,
    )


async def subject_hash_of(upload: Upload, hashes: SubjectHashes | None) -> str | None:
    """
    Return the hash of the subject; None in the study `default`, or without *hashes*.

    Raises:
        AuditUnavailableError: the database gave no clear answer; repeating is safe.
    """
    subject_id = subject_id_of(upload)
    if hashes is None or subject_id is None or upload.subject is None:
        return None
    return await hashes.of(subject_id, upload.subject)


def subject_id_of(upload: Upload) -> UUID | None:
    """Return the random id of the subject, which the object key has; None in the default study."""
    if upload.subject is None:
        return None
    return object_keys.parse(upload.receipt.object_key).user_id
