"""
Pure functions from the spec to desired objects, one module for each kind.

There is no I/O, no clock and no randomness. An object is a dictionary as the Kubernetes API takes
it: equal inputs give equal dictionaries. `children.py` collects the objects; `comparison.py`
compares them with live ones.
"""
