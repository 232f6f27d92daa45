"""Erasures and tombstones; a message about an erased upload refers to no upload."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# Written out on purpose: a migration is history and must not change when the tables do.
_TIME = sa.DateTime(timezone=True)
_KEY = sa.String(512).with_variant(sa.String(512, collation="C"), "postgresql")
_COUNTS = ("uploads", "versions", "withdrawn", "announced", "subjects")
_STATES = "state IN ('requested', 'holding', 'running', 'blocked', 'done')"


def upgrade() -> None:
    _create_erasure()
    _create_document()
    _create_tombstone()
    _extend_upload()
    op.add_column("study", sa.Column("erasure_id", sa.Uuid(), nullable=True))
    has_retention = sa.text("retention_days IS NOT NULL")
    op.create_index(
        "ix_study_retention",
        "study",
        ["slug"],
        postgresql_where=has_retention,
        sqlite_where=has_retention,
    )


def _create_erasure() -> None:
    op.create_table(
        "erasure",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("scope", sa.String(128), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("study", sa.String(40), nullable=False),
        sa.Column("target", sa.Uuid(), nullable=True),
        sa.Column("received_before", _TIME, nullable=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("requested_by", sa.Uuid(), nullable=True),
        sa.Column("requested_at", _TIME, nullable=False),
        sa.Column("starts_at", _TIME, nullable=False),
        sa.Column("due_at", _TIME, nullable=False),
        sa.Column("blocked_until", _TIME, nullable=True),
        sa.Column("done_at", _TIME, nullable=True),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _COUNTS),
        sa.Column("certificate", sa.Text(), nullable=True),
        sa.CheckConstraint(_STATES, name=op.f("ck_erasure_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasure")),
        sa.UniqueConstraint("scope", name=op.f("uq_erasure_scope")),
    )
    is_open = sa.text("state <> 'done'")
    op.create_index(
        "ix_erasure_due", "erasure", ["due_at"], postgresql_where=is_open, sqlite_where=is_open
    )


def _create_document() -> None:
    op.create_table(
        "erasure_document",
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("erasure_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["erasure_id"], ["erasure.id"], name=op.f("fk_erasure_document_erasure_id")
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_erasure_document")),
    )
    op.create_index("ix_erasure_document_erasure_id", "erasure_document", ["erasure_id"])


def _create_tombstone() -> None:
    op.create_table(
        "tombstone",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("study", sa.String(40), nullable=False),
        sa.Column("erasure_id", sa.Uuid(), nullable=False),
        sa.Column("erased_at", _TIME, nullable=True),
        sa.Column("upload_hash", sa.LargeBinary(), nullable=True),
        sa.Column("key_hash", sa.LargeBinary(), nullable=True),
        sa.Column("object_key", _KEY, nullable=True),
        sa.ForeignKeyConstraint(
            ["erasure_id"], ["erasure.id"], name=op.f("fk_tombstone_erasure_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tombstone")),
    )
    for name in ("erasure_id", "upload_hash", "key_hash"):
        op.create_index(f"ix_tombstone_{name}", "tombstone", [name])
    has_key = sa.text("object_key IS NOT NULL")
    op.create_index(
        "ix_tombstone_object_key",
        "tombstone",
        ["erasure_id", "object_key"],
        postgresql_where=has_key,
        sqlite_where=has_key,
    )


def _extend_upload() -> None:
    """
    Add columns without a value, and let a message refer to no upload.

    Processes of the previous version go on: they do not write the columns, and a relay announces a
    message without an upload as it is.
    """
    op.add_column("upload", sa.Column("erasure_id", sa.Uuid(), nullable=True))
    op.add_column("upload", sa.Column("erasure_hash", sa.LargeBinary(), nullable=True))
    with op.batch_alter_table("outbox") as table:  # SQLite cannot change a column: it copies
        table.alter_column("upload_id", existing_type=sa.Uuid(), nullable=True)


def downgrade() -> None:
    op.execute(sa.text("DELETE FROM outbox WHERE upload_id IS NULL"))
    with op.batch_alter_table("outbox") as table:
        table.alter_column("upload_id", existing_type=sa.Uuid(), nullable=False)
    op.drop_index("ix_study_retention", "study")
    op.drop_column("study", "erasure_id")
    op.drop_column("upload", "erasure_hash")
    op.drop_column("upload", "erasure_id")
    op.drop_table("tombstone")
    op.drop_table("erasure_document")
    op.drop_table("erasure")
