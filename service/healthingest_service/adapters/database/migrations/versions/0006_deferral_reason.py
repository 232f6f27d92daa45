"""Rename the reason of a deferred message: `put_off_reason` becomes `deferral_reason`."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_outbox_put_off", "outbox")
    _rename("put_off_reason", "deferral_reason")
    _create_index("ix_outbox_deferred", "deferral_reason")


def downgrade() -> None:
    op.drop_index("ix_outbox_deferred", "outbox")
    _rename("deferral_reason", "put_off_reason")
    _create_index("ix_outbox_put_off", "put_off_reason")


def _rename(old: str, new: str) -> None:
    op.execute(sa.text(f"ALTER TABLE outbox RENAME COLUMN {old} TO {new}"))


def _create_index(name: str, column: str) -> None:
    condition = sa.text(f"{column} IS NOT NULL")
    op.create_index(name, "outbox", [column, "created_at"], postgresql_where=condition)
