"""Avro written and read by the tests themselves, byte by byte: good files, hostile ones, and a slow reader."""
