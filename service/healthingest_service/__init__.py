"""
The upload API, the relay and the janitor: one image, several commands.

Layers, top to bottom: `main` → `api | adapters | settings` → `uploads` → `identity` → `telemetry`.
A layer imports only the layers below it; `|` separates siblings that do not import each other.
"""
