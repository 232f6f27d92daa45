"""
Is this Avro file what it says? Bytes in, a validation result out.

No network, no files, no settings, no values of the file in anything that comes out. `Gate` takes an
object container file chunk by chunk; `check` does it in one go. Specification:
https://avro.apache.org/docs/1.12.0/specification/.
"""

from avrogate.canonical import canonical_form, fingerprint
from avrogate.container import Gate, check
from avrogate.explanations import ExplainedFinding, explain, finding_to_json
from avrogate.model import Schema
from avrogate.policy import Policy
from avrogate.resolution import obstacle
from avrogate.results import Cause, Code, Finding, RefusedError, ValidationResult, Work
from avrogate.schema import parse_schema
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
