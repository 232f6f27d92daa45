"""What clients see of an upload, and of its receipt."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel

from healthingest_service.uploads.model import Receipt, Upload, UploadState
from healthingest_service.uploads.outcomes import ConsumerOutcome, OutcomeState


class ReceiptView(BaseModel):
    """The receipt of an upload: the file is stored, and will be announced."""

    status: str = "accepted"
    upload_id: UUID
    object_key: str
    correlation_id: str
    record_type: str
    record_count: int
    file_size_bytes: int
    file_hash: str


class OutcomeView(BaseModel):
    """What a consumer has reported about an upload; `reason` is a code of the consumer."""

    consumer: str
    state: OutcomeState
    reason: str | None
    reported_at: datetime


class UploadView(BaseModel):
    """An upload, its state, and what consumers have reported about it."""

    upload_id: UUID
    state: UploadState
    object_key: str
    correlation_id: str
    record_type: str
    record_count: int
    file_size_bytes: int
    file_hash: str
    schema_name: str
    schema_fingerprint: str
    received_at: datetime
    stored_at: datetime | None
    announced_at: datetime | None
    study: str
    subject: str
    outcomes: list[OutcomeView]


def receipt_view(receipt: Receipt) -> ReceiptView:
    """Return the view of a receipt."""
    return ReceiptView.model_validate(receipt, from_attributes=True)


def outcome_view(outcome: ConsumerOutcome) -> OutcomeView:
    """Return the view of an outcome."""
    return OutcomeView.model_validate(outcome, from_attributes=True)


def upload_view(upload: Upload, outcomes: Iterable[ConsumerOutcome]) -> UploadView:
    """Return the view of an upload with its outcomes."""
    return UploadView(
        **receipt_view(upload.receipt).model_dump(exclude={"status"}),
        state=upload.state,
        schema_name=upload.schema_name,
        schema_fingerprint=upload.schema_fingerprint,
        received_at=upload.received_at,
        stored_at=upload.stored_at,
        announced_at=upload.announced_at,
        study=upload.study,
        subject=upload.subject_name,
        outcomes=[outcome_view(one) for one in outcomes],
    )
