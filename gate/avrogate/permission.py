"""May a schema be used here? Record types, listed schemas, and those that a listed one can read."""

from avrogate.canonical import fingerprint
from avrogate.model import Enum, Fixed, Record, Schema, short_name
from avrogate.policy import Policy
from avrogate.resolution import obstacle
from avrogate.results import Code, Finding, RefusedError


def check_permission(schema: Schema, policy: Policy) -> None:
    """
    Refuse what the policy does not allow.

    Raises:
        RefusedError: SCHEMA_NOT_A_RECORD, RECORD_TYPE_NOT_ALLOWED, or SCHEMA_NOT_ALLOWED; after the
            last a finding with
            what stands in the way of the listed schema that comes nearest, if there is one of the
                same name.
    """
    root = schema.root
    name = root.name if isinstance(root, Record | Enum | Fixed) else ""
    if policy.records_only and not isinstance(root, Record):
        raise RefusedError(Finding(Code.SCHEMA_NOT_A_RECORD))
    if policy.record_types is not None and not policy.record_types & {name, short_name(name)}:
        raise RefusedError(Finding(Code.RECORD_TYPE_NOT_ALLOWED))
    if policy.fingerprints is None and not policy.readers:
        return
    if policy.fingerprints is not None and fingerprint(schema) in policy.fingerprints:
        return
    obstacles = [(reader, obstacle(schema, reader)) for reader in policy.readers]
    if any(found is None for _, found in obstacles):
        return
    near = [
        found
        for _, found in obstacles
        if found is not None and found.code != Code.READER_NAME_DIFFERS
    ]
    far = [found for _, found in obstacles if found is not None]
    raise RefusedError(Finding(Code.SCHEMA_NOT_ALLOWED), *(near or far)[:1])
