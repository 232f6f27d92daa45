"""
The composition root: the only place that reads settings and knows concrete classes.

`cli` parses the command line and runs processes, `settings_checks` refuses settings that do not fit
together, `runtime` opens what every process needs, `api`, `relay` and `janitor` compose their
processes. `decorators` lets a test wrap ports. Nothing else may live here.
"""

from healthingest_service.main.cli import main

__all__ = ["main"]
