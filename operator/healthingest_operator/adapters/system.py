"""Time and chance of the machine."""

import secrets
from datetime import UTC, datetime
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from healthingest_operator.resources.secrets import Generators

_PASSWORD_BYTES: Final = 32


class SystemClock:
    """The port `Clock`."""

    def now(self) -> datetime:
        """Now, aware, in UTC."""
        return datetime.now(UTC)


def system_generators() -> Generators:
    """Secrets from the operating system's generator."""
    return Generators(lambda: secrets.token_urlsafe(_PASSWORD_BYTES), _signing_key)


def _signing_key() -> str:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
