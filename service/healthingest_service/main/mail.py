"""Composes mails: the sender, the queue, and their delivery by the janitor."""

from dataclasses import asdict
from datetime import timedelta
from typing import Final

from healthingest_contract.environment import MAIL_CA_FILE
from healthingest_contract.tls import tls_context
from healthingest_service.adapters.database.accounts import DatabaseAccountsByEmail
from healthingest_service.adapters.database.mails import DatabaseMailQueue, DatabaseMailTokens
from healthingest_service.adapters.mail_folder import FolderMailSender
from healthingest_service.adapters.smtp import SmtpAccess, SmtpMailSender
from healthingest_service.identity.account_mails import AccountMails, MailDelivery
from healthingest_service.identity.mail import MailRules
from healthingest_service.identity.mail_ports import MailSender
from healthingest_service.main.runtime import Runtime, data_folder, reveal, utc_now
from healthingest_service.main.tls_files import as_settings_error, mail_tls_material
from healthingest_service.settings import Settings

_FOLDER: Final = "mails"


def sends_mails(settings: Settings) -> bool:
    """Return whether mails are sent: by a mail server, or outside a pod into a folder."""
    return settings.mail.smtp_host is not None or settings.secrets_dir is None


def make_mails(runtime: Runtime) -> AccountMails:
    """Return the use case that requests mails."""
    settings = runtime.settings
    timeout_seconds = settings.database.timeout_seconds
    return AccountMails(
        queue=DatabaseMailQueue(runtime.engine, timeout_seconds=timeout_seconds)
        if sends_mails(settings)
        else None,
        registration=settings.identity.registration,
        clock=utc_now,
    )


def make_mail_delivery(runtime: Runtime) -> MailDelivery | None:
    """
    Return the delivery of requested mails, with its metrics; None if no mails are sent.

    Raises:
        InvalidSettingsError: the certificate authorities are unusable.
    """
    settings = runtime.settings
    if not sends_mails(settings):
        return None
    mail = settings.mail
    timeout_seconds = settings.database.timeout_seconds
    delivery = MailDelivery(
        queue=DatabaseMailQueue(runtime.engine, timeout_seconds=timeout_seconds),
        tokens=DatabaseMailTokens(runtime.engine, timeout_seconds=timeout_seconds),
        accounts=DatabaseAccountsByEmail(runtime.engine, timeout_seconds=timeout_seconds),
        sender=make_mail_sender(settings),
        rules=MailRules(
            public_url=mail.public_url or f"http://127.0.0.1:{settings.server.port}",
            reset_lifetime=timedelta(seconds=mail.reset_token_seconds),
            verification_lifetime=timedelta(seconds=mail.verification_token_seconds),
        ),
        clock=utc_now,
        interval_seconds=mail.interval_seconds,
    )
    runtime.metrics.watch_mails(lambda: asdict(delivery.counts))
    return delivery


def make_mail_sender(settings: Settings) -> MailSender:
    """
    Return the sender: the mail server, or a folder in the data folder.

    Raises:
        InvalidSettingsError: the certificate authorities are unusable.
    """
    mail = settings.mail
    if mail.smtp_host is None:
        return FolderMailSender(data_folder(settings) / _FOLDER)
    with as_settings_error(MAIL_CA_FILE):
        context = None if mail.smtp_tls == "None" else tls_context(mail_tls_material(settings))
    return SmtpMailSender(
        SmtpAccess(
            host=mail.smtp_host,
            port=mail.smtp_port,
            tls=mail.smtp_tls,
            tls_context=context,
            username=reveal(mail.smtp_username),
            password=reveal(mail.smtp_password),
            sender=mail.from_address or "",
            timeout_seconds=mail.timeout_seconds,
        )
    )
