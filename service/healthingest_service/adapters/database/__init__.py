"""
The database adapters: PostgreSQL, or SQLite as the embedded default.

This package has the engine, tables, migrations, and the adapters of all ports with a database.
Every method is one transaction of explicit statements; ORM sessions are not used.
"""
