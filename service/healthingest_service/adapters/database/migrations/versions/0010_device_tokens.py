"""Device tokens."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

revision = "0010"
down_revision = "0008"
branch_labels = None
depends_on = None

# Written out on purpose: a migration is history and must not change when account_tables.py does.
_TIME = sa.DateTime(timezone=True)
_ID = sa.CHAR(36).with_variant(UUID(), "postgresql")  # as fastapi-users keeps ids


def upgrade() -> None:
    op.create_table(
        "device_token",
        sa.Column("id", _ID, nullable=False),
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("scopes", sa.String(255), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=True),
        sa.Column("last_used_at", _TIME, nullable=True),
        sa.Column("revoked_at", _TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_device_token")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_device_token_token_hash")),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["account.id"],
            name=op.f("fk_device_token_account_id"),
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_device_token_account_id", "device_token", ["account_id"])
    for column in ("expires_at", "revoked_at"):
        op.create_index(f"ix_device_token_{column}", "device_token", [column])


def downgrade() -> None:
    op.drop_table("device_token")
