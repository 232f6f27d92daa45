"""
The core of erasure: removes the data of an upload, a person or a study, and proves it.

Only values, pure decisions, use cases, errors and ports belong here.
"""
