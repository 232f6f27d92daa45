"""The system clock and the operating system's random generator."""

import base64
import secrets
from datetime import UTC, datetime
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from healthingest_operator.resources.secrets import Generators

_PASSWORD_BYTES: Final = 32
_ERASURE_KEY_BYTES: Final = 32


class SystemClock:
    """Implements the port `Clock`."""

    def now(self) -> datetime:
        """Return the current time in UTC, with time zone."""
        return datetime.now(UTC)


def system_generators() -> Generators:
    """Return generators of secrets that use the operating system's random generator."""
    return Generators(lambda: secrets.token_urlsafe(_PASSWORD_BYTES), _signing_key, _erasure_key)


def _erasure_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(_ERASURE_KEY_BYTES)).decode()


def _signing_key() -> str:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
