"""
Avro written and read by the tests themselves, byte by byte.

Good files, hostile ones, and a slow reader.
"""
