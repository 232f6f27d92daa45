"""
Is this Avro file what it says? Bytes in, a verdict out.

No network, no files, no settings, no values of the file in anything that comes out. `Gate` takes an object container
file chunk by chunk; `check` does it in one go. Specification: https://avro.apache.org/docs/1.12.0/specification/.
"""

from avrogate.canonical import canonical_form, fingerprint
from avrogate.container import Gate, check
from avrogate.model import Schema
from avrogate.policy import Policy
from avrogate.resolution import obstacle
from avrogate.schema import parse_schema
from avrogate.verdict import Code, Finding, RefusedError, Verdict
from avrogate.walker import compiled

__all__ = [
    "Code",
    "Finding",
    "Gate",
    "Policy",
    "RefusedError",
    "Schema",
    "Verdict",
    "canonical_form",
    "check",
    "compiled",
    "fingerprint",
    "obstacle",
    "parse_schema",
]
