"""No query reads a whole table: messages by age and by reason, refresh tokens by their end."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_PUT_OFF = sa.text("put_off_reason IS NOT NULL")


def upgrade() -> None:
    op.create_index("ix_outbox_created_at", "outbox", ["created_at"])
    op.create_index(
        "ix_outbox_put_off", "outbox", ["put_off_reason", "created_at"], postgresql_where=_PUT_OFF
    )
    op.create_index("ix_refresh_token_expires_at", "refresh_token", ["expires_at"])


def downgrade() -> None:
    op.drop_index("ix_refresh_token_expires_at", "refresh_token")
    op.drop_index("ix_outbox_put_off", "outbox")
    op.drop_index("ix_outbox_created_at", "outbox")
