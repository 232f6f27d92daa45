"""
Row-level security: a transaction for a study sees and changes the rows of this study only.

Such a transaction acts as `pg_database_owner`, which owns no table, so the policies of migrations
0015, 0018 and 0019 bind it. The owner of the database is its only member; no role is created. See
decision 0090.
"""

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

STUDY_ROLE: Final = "pg_database_owner"
"""PostgreSQL documentation, "Predefined Roles"."""
PRIVILEGES: Final = {
    "study": "SELECT, UPDATE",
    "study_member": "SELECT, INSERT, DELETE",
    "subject": "SELECT, INSERT, UPDATE",
    "upload": "SELECT, UPDATE (erasure_id)",
    "upload_outcome": "SELECT",
    "resumable_upload": "SELECT, UPDATE (state, ended_at, due_at)",
    "device_token": "SELECT, UPDATE (revoked_at)",
    "enrolment_code": "SELECT, INSERT, DELETE",
    "erasure": "SELECT, INSERT",
    "tombstone": "SELECT, INSERT",
    "audit_event": "SELECT, INSERT",
}
"""What a transaction for a study may do, by table; each table has a policy."""
SEQUENCES: Final = ("audit_event_number_seq",)
"""Sequences of the tables into which it may insert."""
_MAY_ACT: Final = f"pg_has_role(session_user, '{STUDY_ROLE}', 'MEMBER')"
_RESTRICT: Final = text(
    # The path of schemas may have "$user", which is another schema after the change of the role.
    "SELECT set_config('search_path', quote_ident(current_schema()), true),"
    " set_config('healthingest.study', :study, true),"
    f" set_config('role', '{STUDY_ROLE}', true)"
    f" WHERE {_MAY_ACT} AND has_schema_privilege('{STUDY_ROLE}', current_schema(), 'USAGE')"
    f" AND has_table_privilege('{STUDY_ROLE}', 'upload', 'SELECT')"
)
_IS_RESTRICTED: Final = text("SELECT row_security_active('upload')")
_LET_USE_THE_SCHEMA: Final = text(
    f"""
DO $$
BEGIN
    IF NOT has_schema_privilege('{STUDY_ROLE}', current_schema(), 'USAGE') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO {STUDY_ROLE}', current_schema());
    END IF;
END
$$
"""
)


async def restrict_to_study(connection: AsyncConnection, study: str) -> None:
    """
    Restrict the rest of the transaction to the rows of *study*, with one statement.

    Nothing is restricted if the login does not own the database, or if privileges are missing:
    before the migration, and after a restore without privileges. See `is_restricted`.
    """
    await connection.execute(_RESTRICT, {"study": study})


async def is_restricted(connection: AsyncConnection) -> bool:
    """Return whether policies bind this transaction."""
    return bool(await connection.scalar(_IS_RESTRICTED))


async def grant_privileges(connection: AsyncConnection) -> None:
    """
    Grant what transactions for a study need; calling it twice is safe.

    Nothing is granted if the login does not own the database: its owner is somebody else.
    """
    if not await connection.scalar(text(f"SELECT {_MAY_ACT}")):
        return
    await connection.execute(_LET_USE_THE_SCHEMA)
    for table, privileges in PRIVILEGES.items():
        await connection.execute(text(f"GRANT {privileges} ON {table} TO {STUDY_ROLE}"))
    for sequence in SEQUENCES:
        await connection.execute(text(f"GRANT USAGE ON SEQUENCE {sequence} TO {STUDY_ROLE}"))
