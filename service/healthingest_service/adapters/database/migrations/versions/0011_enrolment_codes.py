"""Enrolment codes, and device tokens for one study or subject."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# Written out on purpose: a migration is history and must not change when account_tables.py does.
_TIME = sa.DateTime(timezone=True)
_ID = sa.CHAR(36).with_variant(UUID(), "postgresql")  # as fastapi-users keeps ids
_OF_STUDIES = sa.text("study IS NOT NULL")


def upgrade() -> None:
    op.add_column("device_token", sa.Column("study", sa.String(40), nullable=True))
    op.add_column("device_token", sa.Column("subject", sa.String(64), nullable=True))
    for name, columns in (("study", ["study", "id"]), ("subject", ["study", "subject", "id"])):
        op.create_index(
            f"ix_device_token_{name}",
            "device_token",
            columns,
            postgresql_where=_OF_STUDIES,
            sqlite_where=_OF_STUDIES,
        )
    op.create_table(
        "enrolment_code",
        sa.Column("id", _ID, nullable=False),
        sa.Column("code_hash", sa.String(64), nullable=False),
        sa.Column("study", sa.String(40), nullable=False),
        sa.Column("subject", sa.String(64), nullable=True),
        sa.Column("scopes", sa.String(255), nullable=False),
        sa.Column("token_seconds", sa.Integer(), nullable=True),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.Column("token_id", _ID, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_enrolment_code")),
        sa.UniqueConstraint("code_hash", name=op.f("uq_enrolment_code_code_hash")),
        sa.ForeignKeyConstraint(
            ["study"], ["study.slug"], name=op.f("fk_enrolment_code_study"), ondelete="CASCADE"
        ),
    )
    op.create_index("ix_enrolment_code_study", "enrolment_code", ["study", "expires_at"])
    op.create_index("ix_enrolment_code_subject", "enrolment_code", ["study", "subject"])
    op.create_index("ix_enrolment_code_expires_at", "enrolment_code", ["expires_at"])


def downgrade() -> None:
    op.drop_table("enrolment_code")
    for name in ("study", "subject"):
        op.drop_index(f"ix_device_token_{name}", "device_token")
        op.drop_column("device_token", name)
