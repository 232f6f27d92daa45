"""A mail server in process, with TLS, logins and refusals on demand."""

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, Final

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

USER: Final = "mailer"
PASSWORD: Final = "mail-password-marker"


@dataclass
class MailServer:
    """What came, and how it answers: `refusals` are replies by recipient."""

    port: int = 0
    received: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    refusals: dict[str, str] = field(default_factory=dict)

    # ANN401: as aiosmtpd calls it
    async def handle_RCPT(  # noqa: N802 - as aiosmtpd calls it
        self,
        _server: Any,  # noqa: ANN401
        _session: Any,  # noqa: ANN401
        envelope: Any,  # noqa: ANN401
        address: str,
        options: list[str],
    ) -> str:
        """Accept the recipient, or answer as told."""
        del options
        await asyncio.sleep(0)
        if address in self.refusals:
            return self.refusals[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - as aiosmtpd calls it
        self,
        _server: Any,  # noqa: ANN401
        _session: Any,  # noqa: ANN401
        envelope: Any,  # noqa: ANN401
    ) -> str:
        """Keep the mail."""
        await asyncio.sleep(0)
        self.recipients.extend(envelope.rcpt_tos)
        self.received.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"


def _authenticate(
    _server: object, _session: object, _envelope: object, mechanism: str, given: LoginPassword
) -> AuthResult:
    del mechanism
    is_right = (given.login, given.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=is_right, handled=is_right)


@asynccontextmanager
async def mail_server(
    *,
    starttls: ssl.SSLContext | None = None,
    requires_login: bool = False,
) -> AsyncIterator[MailServer]:
    """Serve SMTP on loopback; with *starttls* it is required for a mail."""
    server = MailServer()
    loop = asyncio.get_running_loop()

    def protocol() -> SMTP:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a login without STARTTLS; TLS is in front
            return SMTP(
                server,
                hostname="mail.example",
                tls_context=starttls,
                require_starttls=starttls is not None,
                auth_required=requires_login,
                auth_require_tls=starttls is not None,
                authenticator=_authenticate,
                enable_SMTPUTF8=True,
                loop=loop,
            )

    listening = await loop.create_server(protocol, "127.0.0.1", 0)
    async with listening:
        server.port = listening.sockets[0].getsockname()[1]
        yield server
