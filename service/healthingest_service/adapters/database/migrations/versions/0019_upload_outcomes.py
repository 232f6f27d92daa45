"""Add what consumers report about uploads."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "upload_outcome",
        sa.Column("upload_id", sa.Uuid(), nullable=False),
        sa.Column("consumer", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(64), nullable=True),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("study", sa.String(40), nullable=False),
        sa.CheckConstraint(
            "state IN ('processed', 'failed')", name=op.f("ck_upload_outcome_state")
        ),
        sa.ForeignKeyConstraint(
            ["upload_id"],
            ["upload.id"],
            name=op.f("fk_upload_outcome_upload_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("upload_id", "consumer", name=op.f("pk_upload_outcome")),
    )
    if op.get_bind().dialect.name == "postgresql":
        _add_policies()


def _add_policies() -> None:
    """Add the policies of migration 0015 to the new table."""
    op.execute("CREATE POLICY every_row ON upload_outcome USING (true)")
    op.execute(
        "CREATE POLICY of_study ON upload_outcome AS RESTRICTIVE TO pg_database_owner"
        " USING (study = current_setting('healthingest.study', true))"
    )
    op.execute("ALTER TABLE upload_outcome ENABLE ROW LEVEL SECURITY")


def downgrade() -> None:
    op.drop_table("upload_outcome")
