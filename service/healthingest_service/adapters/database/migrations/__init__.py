"""
The Alembic migrations of the database.

`env.py` runs the files in `versions/`, one for each change of the tables. They are never edited.
"""
