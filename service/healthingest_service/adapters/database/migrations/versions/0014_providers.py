"""Users of identity providers: ends of their sessions, and roles that follow from groups."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("login_session", sa.Column("ends_at", _TIME, nullable=True))
    op.add_column("account", sa.Column("groups_at", _TIME, nullable=True))
    # Processes of the previous version insert roles of managers.
    for name, default in (("by_manager", sa.true()), ("by_group", sa.false())):
        op.add_column(
            "study_member", sa.Column(name, sa.Boolean(), nullable=False, server_default=default)
        )


def downgrade() -> None:
    op.execute(sa.text("DELETE FROM study_member WHERE NOT by_manager"))
    op.drop_column("study_member", "by_group")
    op.drop_column("study_member", "by_manager")
    op.drop_column("account", "groups_at")
    op.drop_column("login_session", "ends_at")
