"""
Databases with the newest schema, made quickly.

A migration takes half a second, and a thousand tests need a database: so the first database of a
process is migrated, and the others are copies of it. Tests of the migration itself do not use this.
"""

import asyncio
import sqlite3
import tempfile
import uuid
from contextlib import closing
from pathlib import Path
from typing import Final

import asyncpg
from sqlalchemy.engine import make_url

from healthingest_service.adapters.database.migrate import migrate

_SECONDS: Final = 120
"""For one statement or migration: a busy disk makes a database slowly."""
_sqlite: Final[list[bytes]] = []
"""The content of a migrated SQLite database, once there is one."""
_templates: Final[dict[str, str]] = {}
"""The name of the migrated database on each PostgreSQL server, by its address."""


async def migrate_by_copy(url: str) -> None:
    """
    Give the database at *url* the newest schema.

    A file that exists keeps its rows; a database on PostgreSQL must be empty, and is made anew.
    """
    if url.startswith("sqlite"):
        await _copy_sqlite(Path(make_url(url).database or ""), url)
        return
    server, _, name = url.rpartition("/")
    template = await migrated_template(server)
    await _execute(server, f"DROP DATABASE {name}")
    await _execute(server, f"CREATE DATABASE {name} TEMPLATE {template}")


async def migrated_template(server: str) -> str:
    """Return the name of a migrated database on *server*, an address without a database."""
    if server not in _templates:
        name = f"test_template_{uuid.uuid4().hex}"
        await _execute(server, f"CREATE DATABASE {name}")
        await migrate(f"{server}/{name}", timeout_seconds=_SECONDS)
        _templates[server] = name
    return _templates[server]


async def _copy_sqlite(target: Path, url: str) -> None:
    if await asyncio.to_thread(target.exists):
        await migrate(url, timeout_seconds=_SECONDS)
        return
    if not _sqlite:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "template.db"
            await migrate(f"sqlite+aiosqlite:///{path}", timeout_seconds=_SECONDS)
            with closing(sqlite3.connect(path)) as connection:
                _sqlite.append(connection.serialize())
    await asyncio.to_thread(target.write_bytes, _sqlite[0])


async def _execute(server: str, statement: str) -> None:
    connection = await asyncpg.connect(f"{server}/postgres", timeout=_SECONDS)
    try:
        await connection.execute(statement, timeout=_SECONDS)
    finally:
        await connection.close()
