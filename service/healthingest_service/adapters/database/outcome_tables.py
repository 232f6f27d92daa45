"""
The table of what consumers have reported about uploads.

Migrations create it; a test compares both.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from healthingest_service.adapters.database.tables import Base, UtcDateTime


class UploadOutcomeRow(Base):
    """The newest report of a consumer about an upload. `study` is that of the upload."""

    __tablename__ = "upload_outcome"
    __table_args__ = (CheckConstraint("state IN ('processed', 'failed')", name="state"),)

    upload_id: Mapped[UUID] = mapped_column(
        ForeignKey("upload.id", ondelete="CASCADE"), primary_key=True
    )
    consumer: Mapped[str] = mapped_column(String(64), primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(64))
    reported_at: Mapped[datetime] = mapped_column(UtcDateTime)
    study: Mapped[str] = mapped_column(String(40))
