"""Whether the policy allows a schema: record types, listed schemas, and schemas they can read."""

from avrogate.canonical import fingerprint
from avrogate.model import Enum, Fixed, Record, Schema, Type, short_name
from avrogate.policy import Policy
from avrogate.resolution import obstacle
from avrogate.results import Code, Finding, RefusedError


def check_permission(schema: Schema, policy: Policy) -> None:
    """
    Refuse a schema that the policy does not allow.

    Raises:
        RefusedError: SCHEMA_NOT_A_RECORD, RECORD_TYPE_NOT_ALLOWED, or SCHEMA_NOT_ALLOWED. The last
            is followed by a finding that says why the closest reader schema cannot read the data.
    """
    _check_record_type(schema.root, policy)
    if policy.fingerprints is None and not policy.readers:
        return
    if policy.fingerprints is not None and fingerprint(schema) in policy.fingerprints:
        return
    results = [obstacle(schema, reader) for reader in policy.readers]
    obstacles = [found for found in results if found is not None]
    if len(obstacles) == len(results):  # no reader schema can read it
        raise RefusedError(Finding(Code.SCHEMA_NOT_ALLOWED), *_closest(obstacles))


def _check_record_type(root: Type, policy: Policy) -> None:
    name = root.name if isinstance(root, Record | Enum | Fixed) else ""
    if policy.records_only and not isinstance(root, Record):
        raise RefusedError(Finding(Code.SCHEMA_NOT_A_RECORD))
    if policy.record_types is not None and not policy.record_types & {name, short_name(name)}:
        raise RefusedError(Finding(Code.RECORD_TYPE_NOT_ALLOWED))


def _closest(obstacles: list[Finding]) -> list[Finding]:
    """Return at most one obstacle, if possible of a reader schema with the same name."""
    same_name = [found for found in obstacles if found.code != Code.READER_NAME_DIFFERS]
    return (same_name or obstacles)[:1]
