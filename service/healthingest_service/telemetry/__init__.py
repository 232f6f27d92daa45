"""
Logs and metrics of the service.

This package imports no other package of the service. Logs and metrics never contain values of
uploaded files, secrets, or messages of foreign exceptions.
"""
