"""
The tables of erasures and tombstones.

Migrations create them; a test compares both.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    Uuid,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from healthingest_service.adapters.database.tables import Base, UtcDateTime

_IS_OPEN = text("state <> 'done'")
_HAS_KEY = text("object_key IS NOT NULL")


class ErasureRow(Base):
    """An erasure. `due_at` is when a janitor may take it; a lease moves it."""

    __tablename__ = "erasure"
    __table_args__ = (
        CheckConstraint(
            "state IN ('requested', 'holding', 'running', 'blocked', 'done')", name="state"
        ),
        Index(
            "ix_erasure_due",
            "due_at",
            postgresql_where=_IS_OPEN,
            sqlite_where=_IS_OPEN,
        ),
    )

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    scope: Mapped[str] = mapped_column(String(128), unique=True)
    kind: Mapped[str] = mapped_column(String(16))
    study: Mapped[str] = mapped_column(String(40))
    target: Mapped[UUID | None] = mapped_column(Uuid)
    received_before: Mapped[datetime | None] = mapped_column(UtcDateTime)
    state: Mapped[str] = mapped_column(String(16))
    requested_by: Mapped[UUID | None] = mapped_column(Uuid)
    requested_at: Mapped[datetime] = mapped_column(UtcDateTime)
    starts_at: Mapped[datetime] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    blocked_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    done_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    uploads: Mapped[int] = mapped_column(BigInteger)
    versions: Mapped[int] = mapped_column(BigInteger)
    withdrawn: Mapped[int] = mapped_column(BigInteger)
    announced: Mapped[int] = mapped_column(BigInteger)
    subjects: Mapped[int] = mapped_column(BigInteger)
    certificate: Mapped[str | None] = mapped_column(Text)


class ErasureDocumentRow(Base):
    """An object below `erasures/` in the bucket whose content is in the database."""

    __tablename__ = "erasure_document"

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    erasure_id: Mapped[UUID] = mapped_column(ForeignKey("erasure.id"), index=True)


class TombstoneRow(Base):
    """
    The trace of an erased upload, or of a subject or account whose data is refused.

    The id is that of the upload, subject or account. Only an upload has hashes. `object_key` is set
    until its erasure is done.
    """

    __tablename__ = "tombstone"
    __table_args__ = (
        Index(
            "ix_tombstone_object_key",
            "erasure_id",
            "object_key",
            postgresql_where=_HAS_KEY,
            sqlite_where=_HAS_KEY,
        ),
    )

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    study: Mapped[str] = mapped_column(String(40))
    erasure_id: Mapped[UUID] = mapped_column(ForeignKey("erasure.id"), index=True)
    erased_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    upload_hash: Mapped[bytes | None] = mapped_column(LargeBinary, index=True)
    key_hash: Mapped[bytes | None] = mapped_column(LargeBinary, index=True)
    object_key: Mapped[str | None] = mapped_column(
        String(512).with_variant(String(512, collation="C"), "postgresql")
    )
