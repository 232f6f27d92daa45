"""
The edge in: HTTP and nothing else.

Parses a request, asks a use case, translates what comes back. Everything that may go wrong stands
in `problems`.
"""
