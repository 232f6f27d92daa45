"""
The inbound edge: kopf handlers.

Each handler parses the event and calls the core or the queue; it decides nothing.
"""
