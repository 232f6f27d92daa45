"""
The edge in: kopf's decorators.

Each handler parses, calls, translates; decisions are made elsewhere.
"""
