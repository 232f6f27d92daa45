"""
The composition root: the only place that knows settings and concrete classes.

`command` reads the command line and runs processes, if `refusals` has no objection; `parts` opens
what they stand on, `wiring` what the API needs beyond it, `companions` what works beside it.
Nothing else may live here.
"""

from healthingest_service.main.command import main

__all__ = ["main"]
