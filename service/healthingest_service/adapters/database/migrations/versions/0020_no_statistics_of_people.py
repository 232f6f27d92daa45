"""
Keep values that name a person out of the planner's statistics, where tables become empty.

ANALYZE of an empty table keeps the statistics that it finds, so values of rows that were erased
would stay there for ever. Changing a column to the type that it has removes its statistics.
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_COLUMNS = (
    ("outbox", "body", sa.LargeBinary()),
    ("outbox", "headers", sa.JSON()),
    ("resumable_upload", "subject", sa.String(64)),
    ("resumable_upload", "client_metadata", sa.Text()),
    ("idempotency_key", "key", sa.String(255)),
    ("device_token", "subject", sa.String(64)),
    ("device_token", "name", sa.String(100)),
    ("enrolment_code", "subject", sa.String(64)),
    ("mail_request", "email", sa.String(320)),
)


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for table, column, kind in _COLUMNS:
        op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS 0")
        op.alter_column(table, column, type_=kind)


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table, column, _ in _COLUMNS:
            op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS -1")
