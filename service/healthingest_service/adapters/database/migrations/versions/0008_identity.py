"""Versions of passwords, closed accounts, and mails to accounts with their tokens."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_ID = sa.CHAR(36).with_variant(UUID(), "postgresql")  # as fastapi-users keeps ids


def upgrade() -> None:
    op.add_column(
        "account", sa.Column("password_version", sa.Integer(), nullable=False, server_default="0")
    )
    op.add_column("account", sa.Column("closed_at", _TIME, nullable=True))
    op.create_index(
        "ix_account_is_superuser",
        "account",
        ["is_superuser"],
        postgresql_where=sa.text("is_superuser"),
    )
    op.create_table(
        "mail_token",
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("purpose", sa.String(16), nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["account.id"],
            name=op.f("fk_mail_token_account_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_mail_token")),
    )
    op.create_index("ix_mail_token_account_id", "mail_token", ["account_id"])
    op.create_index("ix_mail_token_expires_at", "mail_token", ["expires_at"])
    op.create_table(
        "mail_request",
        sa.Column("email", sa.String(320), nullable=False),
        sa.Column("purpose", sa.String(16), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("due_at", _TIME, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("email", "purpose", name=op.f("pk_mail_request")),
    )
    op.create_index("ix_mail_request_due_at", "mail_request", ["due_at"])


def downgrade() -> None:
    op.drop_table("mail_request")
    op.drop_table("mail_token")
    op.drop_index("ix_account_is_superuser", "account")
    op.drop_column("account", "closed_at")
    op.drop_column("account", "password_version")
