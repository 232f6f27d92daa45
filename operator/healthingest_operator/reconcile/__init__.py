"""
The core: when to reconcile, what to do, and in which order.

One sequence for every HealthIngest: observe → plan → act → status.

Talks to the world through `ports.py` alone and decides with the pure functions of `resources` and
`status`.
"""
