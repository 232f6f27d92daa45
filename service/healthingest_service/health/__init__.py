"""
Readiness and liveness of every process of the service.

`board` runs the checks of dependencies and keeps their outcomes; `api` serves them.
"""
