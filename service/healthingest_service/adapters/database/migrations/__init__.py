"""
Alembic's folder.

`env.py` runs what stands in `versions/`, one file per change of the tables, never edited later.
"""
