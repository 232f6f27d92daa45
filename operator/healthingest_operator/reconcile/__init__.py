"""
The core: when to reconcile, what to do, and in which order.

Every HealthIngest goes through the same sequence: observe → plan → act → status. The core accesses
external systems only through `ports.py`, and decides with the pure functions of `resources` and
`status`.
"""
