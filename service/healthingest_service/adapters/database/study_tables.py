"""
The tables of studies, their members and their subjects.

Migrations create them; a test compares both.
"""

from datetime import datetime
from uuid import UUID

from fastapi_users_db_sqlalchemy.generics import GUID
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    String,
    Uuid,
    false,
    text,
    true,
)
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import JSON

from healthingest_service.adapters.database.tables import Base, UtcDateTime

_HAS_RETENTION = text("retention_days IS NOT NULL")


class StudyRow(Base):
    """A study and its policy. `record_types` is NULL if each type is permitted."""

    __tablename__ = "study"
    __table_args__ = (
        Index(
            "ix_study_retention",
            "slug",
            postgresql_where=_HAS_RETENTION,
            sqlite_where=_HAS_RETENTION,
        ),
    )

    slug: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(16))
    enrolment: Mapped[str] = mapped_column(String(16))
    consent_required: Mapped[bool] = mapped_column()
    retention_days: Mapped[int | None] = mapped_column(BigInteger)
    record_types: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    erasure_hold_seconds: Mapped[int] = mapped_column(BigInteger)
    uploads_rate: Mapped[str | None] = mapped_column(String(32))
    max_file_bytes: Mapped[int | None] = mapped_column(BigInteger)
    bytes_per_day: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    erasure_id: Mapped[UUID | None] = mapped_column(Uuid)
    """The erasure of the study; it accepts nothing any more."""


class StudyMemberRow(Base):
    """
    One role of an account in a study.

    A manager gave it, or it follows from a group at an identity provider, or both.
    """

    __tablename__ = "study_member"
    __table_args__ = (Index("ix_study_member_account_id", "account_id", "study"),)

    study: Mapped[str] = mapped_column(
        ForeignKey("study.slug", ondelete="CASCADE"), primary_key=True
    )
    account_id: Mapped[UUID] = mapped_column(
        GUID, ForeignKey("account.id", ondelete="CASCADE"), primary_key=True
    )
    role: Mapped[str] = mapped_column(String(16), primary_key=True)
    by_manager: Mapped[bool] = mapped_column(default=True, server_default=true())
    by_group: Mapped[bool] = mapped_column(default=False, server_default=false())


class SubjectRow(Base):
    """A subject. `id` is part of the object keys of its uploads."""

    __tablename__ = "subject"
    __table_args__ = (
        CheckConstraint("state IN ('active', 'withdrawn', 'erasing', 'erased')", name="state"),
    )

    study: Mapped[str] = mapped_column(ForeignKey("study.slug"), primary_key=True)
    pseudonym: Mapped[str] = mapped_column(String(64), primary_key=True)
    id: Mapped[UUID] = mapped_column(Uuid, unique=True)
    state: Mapped[str] = mapped_column(String(16))
    consent_version: Mapped[str | None] = mapped_column(String(64))
    consent_given_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    consent_withdrawn_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    enrolled_at: Mapped[datetime] = mapped_column(UtcDateTime)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
