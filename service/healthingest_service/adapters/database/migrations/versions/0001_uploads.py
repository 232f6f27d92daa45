"""Uploads, idempotency keys and the outbox."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Written out on purpose: a migration is history and must not change when tables.py does.
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    _create_upload()
    _create_idempotency_key()
    _create_outbox()


def _create_upload() -> None:
    op.create_table(
        "upload",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("object_key", sa.String(512), nullable=False),
        sa.Column("correlation_id", sa.String(128), nullable=False),
        sa.Column("record_type", sa.String(64), nullable=False),
        sa.Column("record_count", sa.BigInteger(), nullable=False),
        sa.Column("file_size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("file_hash", sa.String(64), nullable=False),
        sa.Column("schema_name", sa.String(1024), nullable=False),
        sa.Column("schema_fingerprint", sa.String(64), nullable=False),
        sa.Column("received_at", _TIME, nullable=False),
        sa.Column("stored_at", _TIME, nullable=True),
        sa.Column("announced_at", _TIME, nullable=True),
        sa.Column("lease_until", _TIME, nullable=True),
        sa.CheckConstraint(
            "state IN ('storing', 'stored', 'announced')", name=op.f("ck_upload_state")
        ),
        sa.CheckConstraint(
            "(state = 'storing') = (lease_until IS NOT NULL)", name=op.f("ck_upload_lease")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_upload")),
        sa.UniqueConstraint("object_key", name=op.f("uq_upload_object_key")),
        sa.UniqueConstraint("owner_id", "file_hash", name=op.f("uq_upload_owner_id_file_hash")),
    )
    op.create_index("ix_upload_history", "upload", ["owner_id", "received_at", "id"])
    op.create_index(
        "ix_upload_lease",
        "upload",
        ["lease_until"],
        postgresql_where=sa.text("lease_until IS NOT NULL"),
    )


def _create_idempotency_key() -> None:
    op.create_table(
        "idempotency_key",
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("upload_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["upload_id"],
            ["upload.id"],
            name=op.f("fk_idempotency_key_upload_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("owner_id", "key", name=op.f("pk_idempotency_key")),
    )
    op.create_index("ix_idempotency_key_upload_id", "idempotency_key", ["upload_id"])


def _create_outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("upload_id", sa.Uuid(), nullable=False),
        sa.Column("routing_key", sa.String(255), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("headers", sa.JSON(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("due_at", _TIME, nullable=False),
        sa.Column("claimed_until", _TIME, nullable=True),
        sa.ForeignKeyConstraint(["upload_id"], ["upload.id"], name=op.f("fk_outbox_upload_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    op.create_index("ix_outbox_due", "outbox", ["due_at", "created_at"])
    op.create_index("ix_outbox_upload_id", "outbox", ["upload_id"])


def downgrade() -> None:
    op.drop_table("outbox")
    op.drop_table("idempotency_key")
    op.drop_table("upload")
