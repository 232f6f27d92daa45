"""Studies, members and subjects; each upload names its study and its subject."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_ID = sa.CHAR(36).with_variant(UUID(), "postgresql")  # as fastapi-users keeps ids
_OF_SUBJECTS = sa.text("subject <> ''")
_BEFORE = ["owner_id", "file_hash"]
_NOW = [*_BEFORE, "study", "subject"]


def upgrade() -> None:
    _create_study()
    _create_member()
    _create_subject()
    _extend_upload()


def _create_study() -> None:
    study = op.create_table(
        "study",
        sa.Column("slug", sa.String(40), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("enrolment", sa.String(16), nullable=False),
        sa.Column("consent_required", sa.Boolean(), nullable=False),
        sa.Column("retention_days", sa.BigInteger(), nullable=True),
        sa.Column("record_types", sa.JSON(), nullable=True),
        sa.Column("erasure_hold_seconds", sa.BigInteger(), nullable=False),
        sa.Column("uploads_rate", sa.String(32), nullable=True),
        sa.Column("max_file_bytes", sa.BigInteger(), nullable=True),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("slug", name=op.f("pk_study")),
    )
    default = {
        "slug": "default",
        "name": "Default",
        "state": "open",
        "enrolment": "Open",
        "consent_required": False,
        "erasure_hold_seconds": 0,
        "created_at": datetime.now(UTC),
    }
    op.bulk_insert(study, [default])


def _create_member() -> None:
    op.create_table(
        "study_member",
        sa.Column("study", sa.String(40), nullable=False),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.ForeignKeyConstraint(
            ["study"], ["study.slug"], name=op.f("fk_study_member_study"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["account.id"],
            name=op.f("fk_study_member_account_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("study", "account_id", "role", name=op.f("pk_study_member")),
    )
    op.create_index("ix_study_member_account_id", "study_member", ["account_id", "study"])


def _create_subject() -> None:
    op.create_table(
        "subject",
        sa.Column("study", sa.String(40), nullable=False),
        sa.Column("pseudonym", sa.String(64), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("consent_version", sa.String(64), nullable=True),
        sa.Column("consent_given_at", _TIME, nullable=True),
        sa.Column("consent_withdrawn_at", _TIME, nullable=True),
        sa.Column("enrolled_at", _TIME, nullable=False),
        sa.Column("changed_at", _TIME, nullable=False),
        sa.CheckConstraint(
            "state IN ('active', 'withdrawn', 'erasing', 'erased')", name=op.f("ck_subject_state")
        ),
        sa.ForeignKeyConstraint(["study"], ["study.slug"], name=op.f("fk_subject_study")),
        sa.PrimaryKeyConstraint("study", "pseudonym", name=op.f("pk_subject")),
        sa.UniqueConstraint("id", name=op.f("uq_subject_id")),
    )


def _extend_upload() -> None:
    """
    Add the columns with defaults, so that processes of the previous version go on inserting.

    PostgreSQL stores such defaults once, not in each row. The new unique constraint replaces the
    old one: rows of the previous version have the defaults, and are unique as before.
    """
    with op.batch_alter_table("upload") as table:  # SQLite cannot drop a constraint: it copies
        table.add_column(
            sa.Column("study", sa.String(40), nullable=False, server_default="default")
        )
        table.add_column(sa.Column("subject", sa.String(64), nullable=False, server_default=""))
        table.create_unique_constraint(op.f("uq_upload_owner_id_file_hash_study_subject"), _NOW)
        table.drop_constraint(op.f("uq_upload_owner_id_file_hash"), type_="unique")
    for name, columns in (
        ("ix_upload_study", ["study", "received_at", "id"]),
        ("ix_upload_subject", ["study", "subject", "received_at", "id"]),
    ):
        op.create_index(
            name, "upload", columns, postgresql_where=_OF_SUBJECTS, sqlite_where=_OF_SUBJECTS
        )


def downgrade() -> None:
    op.drop_index("ix_upload_subject", "upload")
    op.drop_index("ix_upload_study", "upload")
    with op.batch_alter_table("upload") as table:
        table.create_unique_constraint(op.f("uq_upload_owner_id_file_hash"), _BEFORE)
        table.drop_constraint(op.f("uq_upload_owner_id_file_hash_study_subject"), type_="unique")
        table.drop_column("subject")
        table.drop_column("study")
    op.drop_table("subject")
    op.drop_table("study_member")
    op.drop_table("study")
