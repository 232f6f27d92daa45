"""Uploads whose object is gone."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_BEFORE = "state IN ('storing', 'stored', 'announced')"
_NOW = "state IN ('storing', 'stored', 'announced', 'lost')"


def upgrade() -> None:
    op.add_column("upload", sa.Column("lost_at", sa.DateTime(timezone=True), nullable=True))
    _replace_constraint(_NOW)


def downgrade() -> None:
    op.execute(sa.text("UPDATE upload SET state = 'stored' WHERE state = 'lost'"))
    _replace_constraint(_BEFORE)
    op.drop_column("upload", "lost_at")


def _replace_constraint(condition: str) -> None:
    with op.batch_alter_table(
        "upload"
    ) as table:  # SQLite cannot change a constraint: the table is copied
        table.drop_constraint(op.f("ck_upload_state"), type_="check")
        table.create_check_constraint(op.f("ck_upload_state"), sa.text(condition))
