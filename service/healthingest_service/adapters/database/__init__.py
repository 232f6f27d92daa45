"""
The database: PostgreSQL, or SQLite for the embedded default.

Here live the engine, the tables, the migrations and the adapters of the ports `Ledger` and
`Outbox`. Statements, not sessions: every method is one transaction that can be read from top to
bottom.
"""
