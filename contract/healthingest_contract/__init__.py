"""
The contract between service and operator: names, keys, the message about an upload, and log lines.

A change here affects both halves, and is reviewed as a change of interface. The package uses only
the standard library, and has no I/O, settings or clients.
"""
