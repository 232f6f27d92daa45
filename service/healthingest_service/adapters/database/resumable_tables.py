"""
The tables of resumable uploads and their parts.

Migrations create them; a test compares both.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    String,
    Text,
    Uuid,
    false,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import JSON

from healthingest_service.adapters.database.tables import Base, UtcDateTime

_OF_SUBJECTS = text("subject <> ''")
_IS_FINISHED = text("upload_id IS NOT NULL")


class ResumableUploadRow(Base):
    """
    A resumable upload.

    `due_at` is when the janitor looks at it: the end of its time, or when parts are to be removed.
    `lease_until` is set while a request may store a part, `is_storing` while it does. `subject` is
    empty in the study `default`.
    """

    __tablename__ = "resumable_upload"
    __table_args__ = (
        CheckConstraint("state IN ('receiving', 'finished', 'refused', 'ended')", name="state"),
        Index("ix_resumable_upload_due_at", "due_at"),
        Index("ix_resumable_upload_owner", "owner_id", "study"),
        Index(
            "ix_resumable_upload_subject",
            "study",
            "subject",
            postgresql_where=_OF_SUBJECTS,
            sqlite_where=_OF_SUBJECTS,
        ),
        Index(
            "ix_resumable_upload_upload_id",
            "upload_id",
            postgresql_where=_IS_FINISHED,
            sqlite_where=_IS_FINISHED,
        ),
    )

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    owner_id: Mapped[UUID] = mapped_column(Uuid)
    study: Mapped[str] = mapped_column(String(40))
    subject: Mapped[str] = mapped_column(String(64))
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    client_metadata: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16))
    received_bytes: Mapped[int] = mapped_column(BigInteger)
    writer: Mapped[int] = mapped_column(BigInteger)
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    is_storing: Mapped[bool] = mapped_column(default=False, server_default=false())
    upload_id: Mapped[UUID | None] = mapped_column(Uuid)
    findings: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON(none_as_null=True))
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)


class UploadPartRow(Base):
    """A part of a resumable upload. `size_bytes` is NULL until its object is stored."""

    __tablename__ = "upload_part"

    object_key: Mapped[str] = mapped_column(String(128), primary_key=True)
    resumable_id: Mapped[UUID] = mapped_column(
        ForeignKey("resumable_upload.id", ondelete="CASCADE"), index=True
    )
    first_byte: Mapped[int] = mapped_column(BigInteger)
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
