"""
The upload API, the relay and the janitor: one image, several commands.

Floors, top to bottom: `main` → `api | adapters | settings` → `uploads` → `identity` → `telemetry`.
A floor imports only what lies below it; `|` means unaware of each other.
"""
