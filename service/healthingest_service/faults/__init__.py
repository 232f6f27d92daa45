"""
Faults on demand, for `make faults`.

Named points between the steps of an upload, and what may happen there.

A production process never comes here: the ports are wrapped by `main` only where
`HEALTHINGEST_FAULTS` names a folder, and an installation refuses that variable. So a point costs
nothing where it is not asked for: the core does not know it. Nothing but wrappers may live here.
"""
