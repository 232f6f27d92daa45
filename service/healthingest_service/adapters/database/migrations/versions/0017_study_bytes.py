"""The byte quota of a study."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("study", sa.Column("bytes_per_day", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("study", "bytes_per_day")
