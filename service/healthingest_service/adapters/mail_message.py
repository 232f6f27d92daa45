"""The message of a mail in the Internet Message Format (RFC 5322)."""

from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid

from email_validator import EmailNotValidError, validate_email

from healthingest_service.identity.mail import Mail


def domain_of(address: str) -> str:
    """Return the domain of an e-mail address."""
    return address.rpartition("@")[2]


def ascii_address(address: str) -> str:
    """Return *address* with its domain in ASCII; the part before `@` may need SMTPUTF8."""
    try:
        found = validate_email(address, check_deliverability=False)
    except EmailNotValidError:  # an address that an earlier version has accepted
        return address
    return f"{found.local_part}@{found.ascii_domain}"


def message_of(mail: Mail, *, sender: str) -> EmailMessage:
    """Return the message from *sender*; it names no host of the service."""
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = ascii_address(mail.to)
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = make_msgid(domain=domain_of(sender))
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no automatic replies
    # Without this a link of more than 78 characters would be split (quoted-printable).
    message.set_content(mail.text, cte="7bit" if mail.text.isascii() else "quoted-printable")
    return message
