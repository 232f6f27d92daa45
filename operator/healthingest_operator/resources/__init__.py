"""
Spec to desired objects: pure functions, one module per kind. No I/O, no clock, no randomness.

An object is a plain dictionary as the Kubernetes API takes it: equal inputs give equal
dictionaries. `children.py` puts them together; `comparison.py` says whether a live object has what
is desired.
"""
