"""
What the service says about itself: logs, metrics.

Knows nobody above it. Nothing here ever holds a value from a file, a secret, or a library's message
text.
"""
