"""
What both halves must agree on: names, keys, one message and the rule for log lines.

Only values that, if changed, break the service *and* the operator live here. Standard library only,
no I/O, no settings, no clients. A change here is a change of interface and is reviewed as one.
"""
