"""The service that all tests of the client share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

PASSWORD: Final = "correct horse battery"
LIMITS: Final = {
    "LIMITS__UPLOADS": "100000/minute",
    "LIMITS__REQUESTS": "100000/minute",
    "LIMITS__REGISTRATIONS": "1000/hour",
    "LIMITS__UPLOADS_AT_ONCE_PER_ACCOUNT": "32",
    "LIMITS__DOWNLOADS_AT_ONCE_PER_ACCOUNT": "32",
}


@dataclass(frozen=True)
class Running:
    """Its address, and the folder of its data."""

    url: str
    folder: Path
