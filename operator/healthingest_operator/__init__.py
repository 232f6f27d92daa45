"""
The kopf operator: it creates and maintains what a `HealthIngest` manifest asks for.

Layers, top to bottom: `main` → `handlers | adapters | runtime | settings` → `telemetry` →
`reconcile` → `resources | status` → `api`. A layer imports only from the layers below it; `|` means
that two packages of a layer do not import each other.
"""
