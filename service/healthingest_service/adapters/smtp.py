"""The port `MailSender` with a mail server (SMTP)."""

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import Final, Literal

import aiosmtplib
from typing_extensions import override

from healthingest_service.adapters.mail_message import ascii_address, domain_of, message_of
from healthingest_service.identity.errors import MailFailure, MailRefusedError, MailUnavailableError
from healthingest_service.identity.mail import Mail
from healthingest_service.identity.mail_ports import MailSender

SmtpTls = Literal["STARTTLS", "Implicit", "None"]
_PERMANENT: Final = 500
"""Replies from here on are permanent (RFC 5321, 4.2.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpAccess:
    """
    Address and credentials of a mail server.

    `tls_context` is None without TLS. `username` and `password` go together.
    """

    host: str
    port: int
    tls: SmtpTls
    tls_context: ssl.SSLContext | None
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    sender: str
    timeout_seconds: float


class SmtpMailSender(MailSender):
    """Sends each mail in its own connection, because mails are rare."""

    def __init__(self, access: SmtpAccess) -> None:
        self._access = access

    @override
    async def send(self, mail: Mail) -> None:
        access = self._access
        message = message_of(mail, sender=access.sender)
        try:
            async with asyncio.timeout(access.timeout_seconds):
                async with self._client() as server:
                    await server.send_message(
                        message, sender=access.sender, recipients=[ascii_address(mail.to)]
                    )
        except aiosmtplib.SMTPRecipientsRefused as error:
            if all(one.code >= _PERMANENT for one in error.recipients):
                raise MailRefusedError from None
            raise MailUnavailableError(MailFailure.REJECTED) from None
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            raise MailUnavailableError(_cause(error)) from None

    def _client(self) -> aiosmtplib.SMTP:
        access = self._access
        return aiosmtplib.SMTP(
            hostname=access.host,
            port=access.port,
            username=access.username,
            password=access.password,
            local_hostname=domain_of(access.sender),  # the default is the name of the pod
            timeout=access.timeout_seconds,
            use_tls=access.tls == "Implicit",
            start_tls=access.tls == "STARTTLS",
            tls_context=access.tls_context,
        )


def _cause(error: BaseException) -> MailFailure:
    """Return a code for the reason; the server's text may repeat what it was sent."""
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, ssl.SSLError):
            return MailFailure.TLS
        chain = chain.__cause__ or chain.__context__
    # The library raises the base class for STARTTLS and AUTH.
    if isinstance(error, aiosmtplib.SMTPNotSupported) or type(error) is aiosmtplib.SMTPException:
        return MailFailure.NOT_SUPPORTED
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return MailFailure.CREDENTIALS
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return MailFailure.REJECTED
    return MailFailure.UNREACHABLE
