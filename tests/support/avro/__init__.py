"""Avro files that the tests write byte by byte: valid and malicious ones, and a slow reader."""
