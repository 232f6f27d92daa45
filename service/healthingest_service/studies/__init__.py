"""
The core of studies: who may do what in a study, and whether data about a subject is accepted.

Only pure decisions, values, errors and the port of the database belong here.
"""
