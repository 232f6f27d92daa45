"""
The tables of accounts, login sessions, device tokens, and mails to accounts.

Migrations create them; a test compares both.
"""

from datetime import UTC, datetime
from uuid import UUID

from fastapi_users_db_sqlalchemy import SQLAlchemyBaseUserTableUUID
from fastapi_users_db_sqlalchemy.generics import GUID
from sqlalchemy import ForeignKey, Index, Integer, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column

from healthingest_service.adapters.database.tables import Base, UtcDateTime


def _now() -> datetime:
    return datetime.now(UTC)


class AccountRow(SQLAlchemyBaseUserTableUUID, Base):
    """
    An account; the other columns are those of fastapi-users.

    `password_version` grows with each change of the password. `closed_at` is set when the owner has
    closed the account; its personal columns are empty then. `groups_at` is when the newest token of
    an identity provider was issued whose groups were followed.
    """

    __tablename__ = "account"
    __table_args__ = (
        Index("ix_account_is_superuser", "is_superuser", postgresql_where=text("is_superuser")),
    )

    first_name: Mapped[str | None] = mapped_column(String(100))
    last_name: Mapped[str | None] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=_now)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, default=_now, onupdate=_now)
    password_version: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    groups_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class LoginSessionRow(Base):
    """A login session. With `ends_at` it ends then, also if it is refreshed."""

    __tablename__ = "login_session"

    id: Mapped[UUID] = mapped_column(GUID, primary_key=True)
    account_id: Mapped[UUID] = mapped_column(
        ForeignKey("account.id", ondelete="CASCADE"), index=True
    )
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ends_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class RefreshTokenRow(Base):
    """
    A refresh token, identified by its SHA-256.

    `child_salt` derives the next token; it is stored for repeated exchanges within the grace time.
    """

    __tablename__ = "refresh_token"

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    session_id: Mapped[UUID] = mapped_column(
        ForeignKey("login_session.id", ondelete="CASCADE"), index=True
    )
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    child_salt: Mapped[bytes | None] = mapped_column(LargeBinary)


class MailTokenRow(Base):
    """A token that was sent by mail, identified by its SHA-256; it can be used once."""

    __tablename__ = "mail_token"

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[UUID] = mapped_column(
        ForeignKey("account.id", ondelete="CASCADE"), index=True
    )
    purpose: Mapped[str] = mapped_column(String(16))
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class MailRequestRow(Base):
    """
    A requested mail that was not sent yet; it has no token.

    The address is the requester's text: no account may have it.
    """

    __tablename__ = "mail_request"

    email: Mapped[str] = mapped_column(String(320), primary_key=True)
    purpose: Mapped[str] = mapped_column(String(16), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    attempts: Mapped[int] = mapped_column(Integer)


_OF_STUDIES = text("study IS NOT NULL")


class DeviceTokenRow(Base):
    """
    A device token, identified by its SHA-256. `scopes` is a list separated by spaces.

    With `study`, and `subject`, it may be used for them only.
    """

    __tablename__ = "device_token"
    __table_args__ = (
        Index(
            "ix_device_token_study",
            "study",
            "id",
            postgresql_where=_OF_STUDIES,
            sqlite_where=_OF_STUDIES,
        ),
        Index(
            "ix_device_token_subject",
            "study",
            "subject",
            "id",
            postgresql_where=_OF_STUDIES,
            sqlite_where=_OF_STUDIES,
        ),
    )

    id: Mapped[UUID] = mapped_column(GUID, primary_key=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    account_id: Mapped[UUID] = mapped_column(
        ForeignKey("account.id", ondelete="CASCADE"), index=True
    )
    name: Mapped[str] = mapped_column(String(100))
    scopes: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    study: Mapped[str | None] = mapped_column(String(40))
    subject: Mapped[str | None] = mapped_column(String(64))


class EnrolmentCodeRow(Base):
    """
    An enrolment code, identified by its SHA-256. `token_id` is set when it is redeemed.

    `token_seconds` is the lifetime of the token, NULL for ever.
    """

    __tablename__ = "enrolment_code"
    __table_args__ = (
        Index("ix_enrolment_code_study", "study", "expires_at"),
        Index("ix_enrolment_code_subject", "study", "subject"),
    )

    id: Mapped[UUID] = mapped_column(GUID, primary_key=True)
    code_hash: Mapped[str] = mapped_column(String(64), unique=True)
    study: Mapped[str] = mapped_column(ForeignKey("study.slug", ondelete="CASCADE"))
    subject: Mapped[str | None] = mapped_column(String(64))
    scopes: Mapped[str] = mapped_column(String(255))
    token_seconds: Mapped[int | None] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    token_id: Mapped[UUID | None] = mapped_column(GUID)
