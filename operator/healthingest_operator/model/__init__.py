"""
What a `HealthIngest` manifest says: frozen values and the one reader of manifests.

No I/O, no framework.
"""
