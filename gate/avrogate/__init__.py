"""
The Avro gate: validates Avro object container files.

It takes bytes, and returns a validation result or raises findings. It uses no network, no files and
no settings, and no finding contains a value of the file. `Gate` takes a file chunk by chunk,
`check` takes it as a whole. Specification: https://avro.apache.org/docs/1.12.0/specification/.
"""

from avrogate.canonical import canonical_form, fingerprint
from avrogate.container import Gate, check
from avrogate.explanations import ExplainedFinding, explain, finding_to_json
from avrogate.model import Schema
from avrogate.policy import Policy
from avrogate.resolution import obstacle
from avrogate.results import Cause, Code, Finding, RefusedError, ValidationResult, Work
from avrogate.schema import parse_schema
from avrogate.schema_cache import SchemaCache
from avrogate.schema_set import SchemaSetError, parse_schema_set
from avrogate.walker import compiled

__all__ = [
    "Cause",
    "Code",
    "ExplainedFinding",
    "Finding",
    "Gate",
    "Policy",
    "RefusedError",
    "Schema",
    "SchemaCache",
    "SchemaSetError",
    "ValidationResult",
    "Work",
    "canonical_form",
    "check",
    "compiled",
    "explain",
    "finding_to_json",
    "fingerprint",
    "obstacle",
    "parse_schema",
    "parse_schema_set",
]
