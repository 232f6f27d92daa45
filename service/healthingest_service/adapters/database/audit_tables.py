"""
The tables of the audit log: append-only, by privileges and triggers of the migration.

Migrations create them; a test compares both.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Index, Integer, LargeBinary, String, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column

from healthingest_service.adapters.database.tables import Base, UtcDateTime

_OF_STUDIES = text("study IS NOT NULL")
_IS_PRUNED = text("action = 'audit-prune'")
_OF_SUBJECTS = text("subject_hash IS NOT NULL")
"""The indexes are partial, so that a plain upload has no entry in them."""
_NUMBER = BigInteger().with_variant(Integer, "sqlite")
"""SQLite generates only keys of this type."""


class AuditEventRow(Base):
    """An event. `number` is taken from a sequence, so some numbers may be missing."""

    __tablename__ = "audit_event"
    __table_args__ = (
        Index(
            "ix_audit_event_study",
            "study",
            "occurred_at",
            "number",
            postgresql_where=_OF_STUDIES,
            sqlite_where=_OF_STUDIES,
        ),
        Index(
            "ix_audit_event_subject",
            "subject_hash",
            "occurred_at",
            "number",
            postgresql_where=_OF_SUBJECTS,
            sqlite_where=_OF_SUBJECTS,
        ),
        Index(
            "ix_audit_event_prune",
            "object_id",
            postgresql_where=_IS_PRUNED,
            sqlite_where=_IS_PRUNED,
        ),
        {"sqlite_autoincrement": True},
    )

    number: Mapped[int] = mapped_column(_NUMBER, primary_key=True, autoincrement=True)
    occurred_at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor: Mapped[str] = mapped_column(String(16))
    action: Mapped[str] = mapped_column(String(32))
    outcome: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(64))
    account_id: Mapped[UUID | None] = mapped_column(Uuid)
    token_id: Mapped[str | None] = mapped_column(String(64))
    object_id: Mapped[str | None] = mapped_column(String(128))
    study: Mapped[str | None] = mapped_column(String(40))
    subject_hash: Mapped[str | None] = mapped_column(String(64))
    email_hash: Mapped[str | None] = mapped_column(String(64))
    correlation_id: Mapped[str | None] = mapped_column(String(128))


class AuditLinkRow(Base):
    """A link of the chain: the position of an event, and the hash up to it."""

    __tablename__ = "audit_link"

    position: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(_NUMBER, unique=True)
    hash: Mapped[str] = mapped_column(String(64))


class AuditSaltRow(Base):
    """A salt of personal values. Erasing it anonymises the hashes that were made with it."""

    __tablename__ = "audit_salt"

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    salt: Mapped[bytes] = mapped_column(LargeBinary)
