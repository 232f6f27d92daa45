"""
The tables of uploads, messages and scheduled jobs.

Migrations create them (`migrations/versions`); a test compares both.
"""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import JSON, TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """A timezone-aware time in UTC, also with SQLite, which stores no time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert a value for the database: UTC, for SQLite without a time zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            message = "the time has no time zone"
            raise ValueError(message)
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Convert a value of the database: timezone-aware, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """The base of all tables; constraints get fixed names, which migrations refer to."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


_OF_SUBJECTS = text("subject <> ''")
"""The condition of the indexes of studies, which cost an upload without a study nothing."""


class UploadRow(Base):
    """
    An upload. `lease_until` is set in state `storing`, and is the end of the lease.

    An owner has one row per hash, study and subject: equal bytes about a subject are one upload.
    `subject` is a pseudonym, and empty if the subject is the owner.
    """

    __tablename__ = "upload"
    __table_args__ = (
        UniqueConstraint("owner_id", "file_hash", "study", "subject"),
        CheckConstraint("state IN ('storing', 'stored', 'announced', 'lost')", name="state"),
        CheckConstraint("(state = 'storing') = (lease_until IS NOT NULL)", name="lease"),
        Index("ix_upload_history", "owner_id", "received_at", "id"),
        Index("ix_upload_lease", "lease_until", postgresql_where=text("lease_until IS NOT NULL")),
        Index(
            "ix_upload_study",
            "study",
            "received_at",
            "id",
            postgresql_where=_OF_SUBJECTS,
            sqlite_where=_OF_SUBJECTS,
        ),
        Index(
            "ix_upload_subject",
            "study",
            "subject",
            "received_at",
            "id",
            postgresql_where=_OF_SUBJECTS,
            sqlite_where=_OF_SUBJECTS,
        ),
    )

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    owner_id: Mapped[UUID] = mapped_column(Uuid)
    state: Mapped[str] = mapped_column(String(16))
    object_key: Mapped[str] = mapped_column(
        String(512).with_variant(String(512, collation="C"), "postgresql"), unique=True
    )
    """Sorted by bytes, as object stores list keys."""
    correlation_id: Mapped[str] = mapped_column(String(128))
    record_type: Mapped[str] = mapped_column(String(64))
    record_count: Mapped[int] = mapped_column(BigInteger)
    file_size_bytes: Mapped[int] = mapped_column(BigInteger)
    file_hash: Mapped[str] = mapped_column(String(64))
    schema_name: Mapped[str] = mapped_column(String(1024))
    schema_fingerprint: Mapped[str] = mapped_column(String(64))
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    stored_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    announced_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    lost_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the object was found missing; kept while the same bytes are stored again."""
    study: Mapped[str] = mapped_column(String(40), server_default="default")
    subject: Mapped[str] = mapped_column(String(64), server_default="")
    erasure_id: Mapped[UUID | None] = mapped_column(Uuid)
    """The erasure that removes the upload; such an upload does not complete."""
    erasure_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    """The hash of its tombstone; NULL in rows of earlier versions."""


class IdempotencyKeyRow(Base):
    """An `Idempotency-Key` of an owner, and the upload that it identifies."""

    __tablename__ = "idempotency_key"

    owner_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    upload_id: Mapped[UUID] = mapped_column(ForeignKey("upload.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class OutboxRow(Base):
    """
    A message that the broker has not confirmed yet.

    `claimed_until` is set while a relay has claimed it. `deferral_reason` is why the last attempt
    failed, NULL before the first attempt.
    """

    __tablename__ = "outbox"
    __table_args__ = (
        Index("ix_outbox_due", "due_at", "created_at"),
        Index("ix_outbox_created_at", "created_at"),
        Index(
            "ix_outbox_deferred",
            "deferral_reason",
            "created_at",
            postgresql_where=text("deferral_reason IS NOT NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    upload_id: Mapped[UUID | None] = mapped_column(ForeignKey("upload.id"), index=True)
    """NULL in a message about an erased upload, which has no row."""
    routing_key: Mapped[str] = mapped_column(String(255))
    body: Mapped[bytes] = mapped_column(LargeBinary)
    headers: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    attempts: Mapped[int] = mapped_column(BigInteger)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    claimed_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    deferral_reason: Mapped[str | None] = mapped_column(String(16))


class ScheduledJobRow(Base):
    """
    A scheduled job, which one process at a time runs.

    `slot` is the number of the interval, `position` where the job continues within it.
    """

    __tablename__ = "scheduled_job"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    slot: Mapped[int] = mapped_column(BigInteger)
    position: Mapped[str] = mapped_column(String(1024))
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_slot: Mapped[int | None] = mapped_column(BigInteger)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
