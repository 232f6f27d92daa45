"""
Readiness and liveness of every process of the service.

`board` runs the checks of dependencies and keeps their outcomes. How they are served is the matter
of `api`.
"""
