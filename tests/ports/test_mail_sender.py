"""The port `MailSender`: the fake, the folder, and a mail server with and without TLS."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest

from healthingest_contract.tls import TlsMaterial, tls_context
from healthingest_service.adapters.mail_folder import FolderMailSender
from healthingest_service.adapters.mail_message import message_of
from healthingest_service.adapters.smtp import SmtpAccess, SmtpMailSender
from healthingest_service.identity.errors import (
    MailFailure,
    MailRefusedError,
    MailUnavailableError,
)
from healthingest_service.identity.mail import Mail
from healthingest_service.identity.mail_ports import MailSender
from support.deadlines import HANG_SECONDS
from support.fakes import MemoryMailSender
from support.servers.mail import PASSWORD, USER, mail_server
from support.servers.silent import silent_server
from support.servers.tls import Authority, tls_front

MAIL = Mail("ada@clinic.example", "A subject", "Line one\n\nhttps://x.example/a#token\n")
SENDER = "ingest@clinic.example"


@dataclass(frozen=True)
class Sending:
    """A sender, and the mails that have left it: recipient, subject and text."""

    sender: MailSender
    left: Callable[[], list[tuple[str, str, str]]]


def _seen(message: EmailMessage) -> tuple[str, str, str]:
    return str(message["To"]), str(message["Subject"]), message.get_content().replace("\r\n", "\n")


def access_to(port: int, *, authority: Authority | None = None) -> SmtpAccess:
    """Return the access to a mail server on loopback."""
    return SmtpAccess(
        host="127.0.0.1",
        port=port,
        tls="None" if authority is None else "STARTTLS",
        tls_context=None
        if authority is None
        else tls_context(TlsMaterial(ca_bundle=authority.bundle)),
        sender=SENDER,
        timeout_seconds=HANG_SECONDS,
    )


@pytest.fixture(name="sending", params=["memory", "folder", "smtp"])
async def _sending(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Sending]:
    if request.param == "memory":
        fake = MemoryMailSender()
        yield Sending(fake, lambda: [(one.to, one.subject, one.text) for one in fake.sent])
    elif request.param == "folder":
        folder = tmp_path / "mails"
        yield Sending(
            FolderMailSender(folder),
            lambda: [
                _seen(message_from_bytes(path.read_bytes(), policy=policy.default))
                for path in sorted(folder.glob("*"))
            ],
        )
    else:
        async with mail_server() as server:
            yield Sending(
                SmtpMailSender(access_to(server.port)),
                lambda: [_seen(one) for one in server.received],
            )


class TestMailSender:
    """What every sender does."""

    async def test_sends_a_mail(self, sending: Sending) -> None:
        """Recipient, subject and text arrive unchanged; a second call sends a second mail."""
        await sending.sender.send(MAIL)
        assert sending.left() == [(MAIL.to, MAIL.subject, MAIL.text)]
        await sending.sender.send(MAIL)
        assert len(sending.left()) == 2


async def test_names_no_host_of_the_service() -> None:
    """Headers come from the sender's address, and say that no person has written the mail."""
    async with mail_server() as server:
        await SmtpMailSender(access_to(server.port)).send(MAIL)
    (message,) = server.received
    assert message["From"] == SENDER
    assert str(message["Message-ID"]).endswith("@clinic.example>")
    assert message["Auto-Submitted"] == "auto-generated"


async def test_splits_no_link() -> None:
    """A long line arrives as it is, so that also a reader of the raw text can follow the link."""
    link = f"https://ingest.example/auth/reset-password#{'x' * 200}"
    raw = message_of(replace(MAIL, text=f"{link}\n"), sender=SENDER).as_bytes()
    assert link.encode() in raw
    other = message_of(replace(MAIL, text="https://klinik-ä.example\n"), sender=SENDER)
    assert other.get_content().strip() == "https://klinik-ä.example"


async def test_sends_to_a_domain_with_other_letters() -> None:
    """The domain is sent in ASCII, so the server needs no extension."""
    async with mail_server() as server:
        await SmtpMailSender(access_to(server.port)).send(replace(MAIL, to="ada@klinik-ä.example"))
    assert server.recipients == ["ada@" + "klinik-ä.example".encode("idna").decode()]


@pytest.mark.parametrize("tls", ["STARTTLS", "Implicit"])
async def test_logs_in_over_tls(tmp_path: Path, tls: str) -> None:
    """With a private authority, from a plain connection or from the beginning."""
    authority = Authority()
    context = authority.issue().server_context(tmp_path)
    async with AsyncExitStack() as stack:
        starttls = context if tls == "STARTTLS" else None
        server = await stack.enter_async_context(
            mail_server(starttls=starttls, requires_login=True)
        )
        port = server.port
        if tls == "Implicit":
            port = await stack.enter_async_context(tls_front(port, context))
        access = replace(
            access_to(port, authority=authority),
            tls="STARTTLS" if tls == "STARTTLS" else "Implicit",
            username=USER,
            password=PASSWORD,
        )
        await SmtpMailSender(access).send(MAIL)
        assert len(server.received) == 1
        with pytest.raises(MailUnavailableError) as wrong:
            await SmtpMailSender(replace(access, password="other")).send(MAIL)
    assert wrong.value.cause is MailFailure.CREDENTIALS


@pytest.mark.parametrize(
    "fault", ["other-authority", "other-name", "expired", "no-starttls", "silent", "closed"]
)
async def test_says_why_a_mail_was_not_sent(tmp_path: Path, fault: str) -> None:
    """Each fault has its code, and nothing is sent, in particular not unencrypted."""
    authority = Authority()
    certificate = {
        "other-name": authority.issue("other.example"),
        "expired": authority.issue(days=-1),
    }.get(fault, authority.issue())
    async with AsyncExitStack() as stack:
        if fault == "silent":
            port = await stack.enter_async_context(silent_server())
        else:
            context = None if fault == "no-starttls" else certificate.server_context(tmp_path)
            server = await stack.enter_async_context(mail_server(starttls=context))
            port = 9 if fault == "closed" else server.port
        trusted = Authority() if fault == "other-authority" else authority
        access = replace(
            access_to(port, authority=trusted),
            timeout_seconds=0.2 if fault == "silent" else HANG_SECONDS,
        )
        with pytest.raises(MailUnavailableError) as failed:
            await SmtpMailSender(access).send(MAIL)
        assert fault == "silent" or server.received == []
    expected = {
        "no-starttls": MailFailure.NOT_SUPPORTED,
        "silent": MailFailure.UNREACHABLE,
        "closed": MailFailure.UNREACHABLE,
    }
    assert failed.value.cause is expected.get(fault, MailFailure.TLS)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ("550 marker no such user", MailRefusedError),
        ("450 marker try later", MailUnavailableError),
    ],
)
async def test_tells_a_refused_recipient_from_a_busy_server(
    reply: str, error: type[Exception]
) -> None:
    """A permanent reply is final, another one is not; the server's text is in no error."""
    async with mail_server() as server:
        server.refusals[MAIL.to] = reply
        with pytest.raises(error) as refused:
            await SmtpMailSender(access_to(server.port)).send(MAIL)
    assert "marker" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


async def test_a_folder_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    """A file in its place is reported as such."""
    place = tmp_path / "mails"
    await asyncio.to_thread(place.write_text, "")
    with pytest.raises(MailUnavailableError) as failed:
        await FolderMailSender(place).send(MAIL)
    assert failed.value.cause is MailFailure.FOLDER
