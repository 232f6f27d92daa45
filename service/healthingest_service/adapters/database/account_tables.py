"""
The tables of accounts and login sessions.

Migrations create them; a test compares both.
"""

from datetime import UTC, datetime
from uuid import UUID

from fastapi_users_db_sqlalchemy import SQLAlchemyBaseUserTableUUID
from fastapi_users_db_sqlalchemy.generics import GUID
from sqlalchemy import ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from healthingest_service.adapters.database.tables import Base, UtcDateTime


def _now() -> datetime:
    return datetime.now(UTC)


class AccountRow(SQLAlchemyBaseUserTableUUID, Base):
    """An account; the other columns are those of fastapi-users."""

    __tablename__ = "account"

    first_name: Mapped[str | None] = mapped_column(String(100))
    last_name: Mapped[str | None] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=_now)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, default=_now, onupdate=_now)


class LoginSessionRow(Base):
    """A login session."""

    __tablename__ = "login_session"

    id: Mapped[UUID] = mapped_column(GUID, primary_key=True)
    account_id: Mapped[UUID] = mapped_column(
        ForeignKey("account.id", ondelete="CASCADE"), index=True
    )
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


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
