"""
The errors of uploads.

`api/problems.py` maps them to HTTP status and problem code. No error contains a value from the
file, a secret, or the message of a library.
"""

from datetime import datetime

from healthingest_service.uploads.model import Finding


class UploadError(Exception):
    """The base class of all errors of uploads."""


class FileTooLargeError(UploadError):
    """The body is longer than the limit allows."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"more than {limit_bytes} bytes")
        self.limit_bytes = limit_bytes


class NotAvroError(UploadError):
    """
    The body does not begin like an Avro object container file.

    `findings` has at most one entry; it names the format that the file seems to have.
    """

    def __init__(self, findings: tuple[Finding, ...] = ()) -> None:
        super().__init__("no container")
        self.findings = findings


class FileRefusedError(UploadError):
    """The Avro gate refused the file. `findings` has 1 to 100 entries."""

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        super().__init__(f"{len(findings)} findings")
        self.findings = findings


class BodyIncompleteError(UploadError):
    """The client disconnected, or sent fewer bytes than it declared."""


class BodyTooSlowError(UploadError):
    """The body stalled, or came slower than the minimum rate."""


class UploadInFlightError(UploadError):
    """An upload with the same bytes or the same idempotency key is in progress."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__("in flight")
        self.retry_after_seconds = retry_after_seconds


class IdempotencyKeyReusedError(UploadError):
    """The owner has used this idempotency key for other bytes."""


class UploadNotFoundError(UploadError):
    """The owner has no such upload."""


class UploadErasedError(UploadError):
    """The upload was erased, or is being erased; its bytes are not accepted again."""


class TooManyOutcomesError(UploadError):
    """As many other consumers have reported about the upload as may."""


class InvalidCursorError(UploadError):
    """The page cursor was not issued by this service."""


class UnavailableError(UploadError):
    """A dependency or resource is not available now; repeating later is safe."""


class StoreUnavailableError(UnavailableError):
    """
    The object store gave no clear answer within its deadline.

    The object may or may not be there.
    """


class StoreRefusedError(UnavailableError):
    """The object store refused (credentials, quota, checksum); the object is not stored."""


class ObjectLockedError(StoreRefusedError):
    """
    A version of the object is locked: it cannot be removed before *until*.

    None: a legal hold without an end.
    """

    def __init__(self, until: datetime | None) -> None:
        super().__init__("locked")
        self.until = until


class ObjectLostError(StoreRefusedError):
    """The object of an upload does not exist, or does not have the bytes of the upload."""


class LedgerUnavailableError(UnavailableError):
    """The database gave no clear answer: a commit may or may not have happened."""


class SpoolFullError(UnavailableError):
    """The spool has no room for another body."""


class SpoolUnavailableError(UnavailableError):
    """The folder of the spool cannot be written: it is missing, read-only, or the disk fails."""


class GateUnavailableError(UnavailableError):
    """The Avro gate could not validate the file, for a reason that does not lie in the file."""


class PublishError(UploadError):
    """
    The broker has not confirmed a message.

    It may or may not have been delivered, so it stays in the outbox.
    """


class BrokerUnreachableError(PublishError):
    """The broker has no connection, or sent no confirm within the deadline."""


class MessageUnroutableError(PublishError):
    """The exchange is missing, or no queue is bound for the routing key."""


class MessageRefusedError(PublishError):
    """The broker answered with a nack, for example because a queue is full."""
