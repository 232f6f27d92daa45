"""
The kopf operator.

Makes and keeps what a `HealthIngest` manifest asks for, and says in conditions what holds.

Floors, top to bottom: `main` → `handlers | adapters | settings` → `reconcile` → `resources |
status` → `model`. A floor imports only what lies below it; `|` means unaware of each other.
"""
