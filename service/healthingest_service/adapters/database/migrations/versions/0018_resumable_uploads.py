"""Add resumable uploads and their parts."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_STATES = "state IN ('receiving', 'finished', 'refused', 'ended')"


def upgrade() -> None:
    op.create_table(
        "resumable_upload",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("study", sa.String(40), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("client_metadata", sa.Text(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("received_bytes", sa.BigInteger(), nullable=False),
        sa.Column("writer", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", _TIME, nullable=True),
        sa.Column("is_storing", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("upload_id", sa.Uuid(), nullable=True),
        sa.Column("findings", sa.JSON(), nullable=True),
        sa.Column("ended_at", _TIME, nullable=True),
        sa.Column("due_at", _TIME, nullable=False),
        sa.CheckConstraint(_STATES, name=op.f("ck_resumable_upload_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_resumable_upload")),
    )
    op.create_index("ix_resumable_upload_due_at", "resumable_upload", ["due_at"])
    op.create_index("ix_resumable_upload_owner", "resumable_upload", ["owner_id", "study"])
    of_subjects = sa.text("subject <> ''")
    op.create_index(
        "ix_resumable_upload_subject",
        "resumable_upload",
        ["study", "subject"],
        postgresql_where=of_subjects,
        sqlite_where=of_subjects,
    )
    is_finished = sa.text("upload_id IS NOT NULL")
    op.create_index(
        "ix_resumable_upload_upload_id",
        "resumable_upload",
        ["upload_id"],
        postgresql_where=is_finished,
        sqlite_where=is_finished,
    )
    op.create_table(
        "upload_part",
        sa.Column("object_key", sa.String(128), nullable=False),
        sa.Column("resumable_id", sa.Uuid(), nullable=False),
        sa.Column("first_byte", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["resumable_id"],
            ["resumable_upload.id"],
            name=op.f("fk_upload_part_resumable_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("object_key", name=op.f("pk_upload_part")),
    )
    op.create_index("ix_upload_part_resumable_id", "upload_part", ["resumable_id"])
    if op.get_bind().dialect.name == "postgresql":
        _add_policies()


def _add_policies() -> None:
    """Add the policies of migration 0015 to the new table."""
    op.execute("CREATE POLICY every_row ON resumable_upload USING (true)")
    op.execute(
        "CREATE POLICY of_study ON resumable_upload AS RESTRICTIVE TO pg_database_owner"
        " USING (study = current_setting('healthingest.study', true))"
    )
    op.execute("ALTER TABLE resumable_upload ENABLE ROW LEVEL SECURITY")


def downgrade() -> None:
    op.drop_table("upload_part")
    op.drop_table("resumable_upload")
