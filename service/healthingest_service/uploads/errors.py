"""
What can go wrong with an upload.

Free of HTTP: `api/problems.py` gives each one its status and code.

No error carries a value from the file, a secret, or a library's text.
"""

from healthingest_service.uploads.model import Finding


class UploadError(Exception):
    """Root of the tree."""


class FileTooLargeError(UploadError):
    """The body is longer than the limit allows."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"more than {limit_bytes} bytes")
        self.limit_bytes = limit_bytes


class NotAvroError(UploadError):
    """
    The body does not begin as an Avro object container file does.

    The one of `findings` says what it looks like.
    """

    def __init__(self, findings: tuple[Finding, ...] = ()) -> None:
        super().__init__("no container")
        self.findings = findings


class FileRefusedError(UploadError):
    """The gate found the file to be wrong. `findings` has 1 to 100 entries."""

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        super().__init__(f"{len(findings)} findings")
        self.findings = findings


class BodyIncompleteError(UploadError):
    """The client went away, or sent fewer bytes than it had announced."""


class BodyTooSlowError(UploadError):
    """The body stalled, or came slower than the minimum rate."""


class UploadInFlightError(UploadError):
    """An equal upload, or one with the same idempotency key, is being stored at this moment."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__("in flight")
        self.retry_after_seconds = retry_after_seconds


class IdempotencyKeyReusedError(UploadError):
    """The owner has used this idempotency key for other bytes."""


class UploadNotFoundError(UploadError):
    """There is no such upload of this owner."""


class InvalidCursorError(UploadError):
    """The page cursor is not one that we gave."""


class UnavailableError(UploadError):
    """Something that we need cannot be had now; trying again later is safe."""


class StoreUnavailableError(UnavailableError):
    """
    The object store gave no clear answer within its deadline.

    The object may or may not be there.
    """


class StoreRefusedError(UnavailableError):
    """The object store clearly said no (credentials, quota, checksum): the object is not there."""


class LedgerUnavailableError(UnavailableError):
    """The database gave no clear answer: a commit may or may not have happened."""


class SpoolFullError(UnavailableError):
    """No room for another body."""


class SpoolUnavailableError(UnavailableError):
    """The spool's folder cannot be written: it is gone, read-only, or its disk fails."""


class GateUnavailableError(UnavailableError):
    """The gate could not validate the file for a reason that is not the file's."""


class PublishError(UploadError):
    """
    The broker has not confirmed a message.

    It may or may not have been delivered, so it stays in the outbox.
    """


class BrokerUnreachableError(PublishError):
    """No connection, or no confirm within the deadline."""


class MessageUnroutableError(PublishError):
    """The exchange is missing or no queue is bound for the routing key: the topology is broken."""


class MessageRefusedError(PublishError):
    """The broker answered with a nack, e.g. because a queue is full."""
