"""
The core: when to look, what to do, in which order.

One sequence for every HealthIngest: observe → plan → act → status.

Talks to the world through `ports.py` alone and decides with the pure functions of `resources` and
`status`.
"""
