"""Builds the message that announces an upload."""

from datetime import datetime

from healthingest_contract.events import TRACEPARENT, UploadStored
from healthingest_contract.topology import routing_key
from healthingest_service.uploads.ids import new_message_id
from healthingest_service.uploads.model import OutgoingMessage, Upload


def announcement(
    upload: Upload, bucket: str, *, at: datetime, traceparent: str | None = None
) -> OutgoingMessage:
    """
    Return the message for the outbox.

    Its idempotency key is the upload's id, so consumers recognise repeated messages. *traceparent*
    is the trace of the request, and becomes a header.
    """
    message_id = new_message_id()
    receipt = upload.receipt
    event = UploadStored(
        bucket=bucket,
        key=receipt.object_key,
        user_id=upload.owner,
        record_type=receipt.record_type,
        upload_timestamp_utc=upload.received_at,
        correlation_id=receipt.correlation_id,
        file_size_bytes=receipt.file_size_bytes,
        file_hash=receipt.file_hash,
        record_count=receipt.record_count,
        idempotency_key=str(upload.id),
        schema_name=upload.schema_name,
        schema_fingerprint=upload.schema_fingerprint,
        study=upload.study,
        subject=upload.subject_name,
    )
    return OutgoingMessage(
        id=message_id,
        upload_id=upload.id,
        routing_key=routing_key(receipt.record_type),
        body=event.to_bytes(),
        headers=event.cloud_event_headers(str(message_id))
        | ({TRACEPARENT: traceparent} if traceparent else {}),
        created_at=at,
    )
