"""
The outbound edge: one package or module for each external system.

Each adapter implements a port of the core and raises the core's errors instead of its library's.
"""
