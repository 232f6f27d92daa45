"""
The composition root: the only place that reads settings and knows concrete classes.

`cli` parses the command line and runs a process. `settings_checks` refuses inconsistent settings.
`runtime` opens the adapters that every process needs; `api`, `relay` and `janitor` add their own.
`decorators` lets tests wrap ports.
"""
