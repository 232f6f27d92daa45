"""Add the reason of a deferred message, byte order of keys, and jobs with one holder at a time."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("outbox", sa.Column("put_off_reason", sa.String(16), nullable=True))
    if op.get_bind().dialect.name == "postgresql":  # SQLite compares bytes already
        op.alter_column(
            "upload", "object_key", type_=sa.String(512, collation="C"), existing_nullable=False
        )
    op.create_table(
        "scheduled_job",
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("slot", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.String(1024), nullable=False),
        sa.Column("lease_until", _TIME, nullable=True),
        sa.Column("finished_slot", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", _TIME, nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_scheduled_job")),
    )


def downgrade() -> None:
    op.drop_table("scheduled_job")
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("upload", "object_key", type_=sa.String(512), existing_nullable=False)
    op.drop_column("outbox", "put_off_reason")
