"""
The audit log: who did what, with whose data, in a chain that shows changes.

Modules here are pure or use ports. They know neither HTTP nor SQL, and nothing of uploads.
"""
