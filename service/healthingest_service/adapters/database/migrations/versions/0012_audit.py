"""Add the audit log: events, their chain, and salts."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_APPEND_ONLY = ("audit_event", "audit_link")
_KEPT_DAYS = 30
_REFUSE = "RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'insufficient_privilege'"
_FUNCTIONS = (
    f"""
CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {_REFUSE};
END
$$
""",
    f"""
CREATE FUNCTION audit_event_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.occurred_at > now() - interval '{_KEPT_DAYS} days' THEN
        {_REFUSE};
    END IF;
    RETURN OLD;
END
$$
""",
    f"""
CREATE FUNCTION audit_link_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM audit_event
        WHERE number = OLD.number AND occurred_at > now() - interval '{_KEPT_DAYS} days'
    ) THEN
        {_REFUSE};
    END IF;
    RETURN OLD;
END
$$
""",
)
_YOUNG = f"> strftime('%Y-%m-%d %H:%M:%f', 'now', '-{_KEPT_DAYS} days')"
_KEPT_ON_SQLITE = {
    "audit_event": f"OLD.occurred_at {_YOUNG}",
    "audit_link": "(SELECT occurred_at FROM audit_event"  # noqa: S608 - constants
    f" WHERE number = OLD.number) {_YOUNG}",
}


def upgrade() -> None:
    op.create_table(
        "audit_event",
        sa.Column("number", _NUMBER, nullable=False, autoincrement=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(16), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(64), nullable=True),
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column("token_id", sa.String(64), nullable=True),
        sa.Column("object_id", sa.String(128), nullable=True),
        sa.Column("study", sa.String(40), nullable=True),
        sa.Column("subject_hash", sa.String(64), nullable=True),
        sa.Column("email_hash", sa.String(64), nullable=True),
        sa.Column("correlation_id", sa.String(128), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit_event")),
        sqlite_autoincrement=True,
    )
    _create_indexes()
    op.create_table(
        "audit_link",
        sa.Column("position", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_audit_link")),
        sa.UniqueConstraint("number", name=op.f("uq_audit_link_number")),
    )
    op.create_table(
        "audit_salt",
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_audit_salt")),
    )
    _forbid_changes()


def _create_indexes() -> None:
    for name, columns, condition in (
        ("ix_audit_event_study", ["study", "occurred_at", "number"], "study IS NOT NULL"),
        (
            "ix_audit_event_subject",
            ["subject_hash", "occurred_at", "number"],
            "subject_hash IS NOT NULL",
        ),
        ("ix_audit_event_prune", ["object_id"], "action = 'audit-prune'"),
    ):
        op.create_index(
            name,
            "audit_event",
            columns,
            postgresql_where=sa.text(condition),
            sqlite_where=sa.text(condition),
        )


def _forbid_changes() -> None:
    """
    Make the tables append-only, except that events older than 30 days may be deleted.

    The role of the service owns its tables, because it migrates them. It loses the privileges of
    the owner to update and truncate, and triggers bind superusers too. There is no foreign key,
    because PostgreSQL checks one with the privilege to update. SQLite has no privileges, only
    triggers.
    """
    if op.get_bind().dialect.name == "postgresql":
        for function in _FUNCTIONS:
            op.execute(function)
        for table in _APPEND_ONLY:
            op.execute(f"REVOKE ALL ON {table} FROM PUBLIC")
            op.execute(f"REVOKE UPDATE, TRUNCATE ON {table} FROM CURRENT_USER")
            op.execute(
                f"CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON {table}"
                " FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()"
            )
            op.execute(
                f"CREATE TRIGGER is_kept BEFORE DELETE ON {table}"
                f" FOR EACH ROW EXECUTE FUNCTION {table}_is_kept()"
            )
        return
    for table in _APPEND_ONLY:
        for change, condition in (("UPDATE", ""), ("DELETE", f"WHEN {_KEPT_ON_SQLITE[table]}")):
            op.execute(
                f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table}"
                f" {condition} BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
            )


def downgrade() -> None:
    op.drop_table("audit_salt")
    op.drop_table("audit_link")
    op.drop_table("audit_event")
    if op.get_bind().dialect.name == "postgresql":
        for function in ("audit_is_append_only", "audit_event_is_kept", "audit_link_is_kept"):
            op.execute(f"DROP FUNCTION {function}()")
