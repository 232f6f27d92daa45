"""
The errors of erasure.

`api/problems.py` maps them to HTTP status and problem code. No error contains a pseudonym.
"""

from healthingest_service.uploads.errors import UploadError


class ErasureError(UploadError):
    """The base class of all errors of erasure."""


class ErasureNotFoundError(ErasureError):
    """The erasure does not exist, or the caller may not know of it."""


class InvalidErasureKeyError(ErasureError):
    """The text is not an erasure key; the message contains nothing of it."""


class InvalidCertificateError(ErasureError):
    """The text is not a certificate of this installation."""
