"""Row-level security: a transaction for a study sees the rows of this study only."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# In the order in which the statement that completes an upload locks them.
_STUDY_COLUMNS = {
    "upload": "study",
    "tombstone": "study",
    "subject": "study",
    "audit_event": "study",
    "study": "slug",
    "study_member": "study",
    "device_token": "study",
    "enrolment_code": "study",
    "erasure": "study",
}


def upgrade() -> None:
    """
    Add the policies.

    They bind neither the owner of the tables nor superusers, so processes of the previous version
    go on. `every_row` leaves other roles what their privileges allow; without it, they would see no
    rows. `migrate` grants the privileges of the restricted role.
    """
    if op.get_bind().dialect.name != "postgresql":
        return
    for table, column in _STUDY_COLUMNS.items():
        op.execute(f"CREATE POLICY every_row ON {table} USING (true)")
        op.execute(
            f"CREATE POLICY of_study ON {table} AS RESTRICTIVE TO pg_database_owner"
            f" USING ({column} = current_setting('healthingest.study', true))"
        )
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")


def downgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for table in _STUDY_COLUMNS:
        op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
        op.execute(f"DROP POLICY of_study ON {table}")
        op.execute(f"DROP POLICY every_row ON {table}")
