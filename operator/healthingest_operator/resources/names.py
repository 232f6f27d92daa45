"""Names and labels of the children and external resources of a HealthIngest."""

import hashlib
from typing import Final

from healthingest_contract.conditions import API_GROUP, API_VERSION, KIND
from healthingest_operator.api.healthingest import HealthIngest, Key
from healthingest_operator.api.manifest import Manifest

MANAGED_BY: Final = "healthingest-operator"
MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
INSTANCE_LABEL: Final = "app.kubernetes.io/instance"
COMPONENT_LABEL: Final = "app.kubernetes.io/component"
DESIRED_ANNOTATION: Final = f"{API_GROUP}/desired"
"""Annotation with the fingerprint of the desired object, which shows that a field was removed."""

API: Final = "api"
RELAY: Final = "relay"
MIGRATE: Final = "migrate"

_POSTGRESQL_NAME_BYTES: Final = (
    63  # PostgreSQL documentation, "Identifiers and Key Words" (NAMEDATALEN - 1)
)


def labels(key: Key, component: str | None = None) -> dict[str, str]:
    """Return the labels of children; with *component*, those of its pods."""
    found = {
        "app.kubernetes.io/name": "healthingest",
        INSTANCE_LABEL: key.name,
        MANAGED_BY_LABEL: MANAGED_BY,
    }
    return found | {COMPONENT_LABEL: component} if component else found


def selector(key: Key, component: str) -> dict[str, str]:
    """
    Return the labels that select the pods of a component.

    They are immutable in a Deployment, so never add any.
    """
    return {
        "app.kubernetes.io/name": "healthingest",
        INSTANCE_LABEL: key.name,
        COMPONENT_LABEL: component,
    }


def metadata(owner: HealthIngest, name: str, component: str | None = None) -> Manifest:
    """Return the metadata of a child: its labels, and its owner reference."""
    reference = {
        "apiVersion": f"{API_GROUP}/{API_VERSION}",
        "kind": KIND,
        "name": owner.key.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "name": name,
        "namespace": owner.key.namespace,
        "labels": labels(owner.key, component),
        "ownerReferences": [reference],
    }


def service_secret(key: Key) -> str:
    """Return the name of the Secret that only the service's pods read."""
    return f"{key.name}-service"


def consumer_secret(key: Key) -> str:
    """Return the name of the consumers' Secret."""
    return f"{key.name}-consumer"


def erasure_key_secret(key: Key) -> str:
    """Return the name of the Secret with the erasure key, which outlives the HealthIngest."""
    return f"{key.name}-erasure-key"


def config_map(key: Key) -> str:
    """Return the name of the ConfigMap with the service's settings."""
    return f"{key.name}-config"


def relay_users(virtual_host: str) -> tuple[str, str]:
    """
    Return the two alternating names of the relay's broker user.

    Users are global in a broker, so the virtual host is part of the name.
    """
    return f"{virtual_host}.relay", f"{virtual_host}.relay-b"


def consumer_users(virtual_host: str) -> tuple[str, str]:
    """Return the two alternating names of the consumers' broker user."""
    return f"{virtual_host}.consumer", f"{virtual_host}.consumer-b"


def database(key: Key) -> str:
    """Return the name of the database and of its owner role, on a server given by `adminUrl`."""
    digest = hashlib.sha256(str(key).encode()).hexdigest()[:10]
    readable = "".join(
        letter if letter.isalnum() else "_" for letter in f"healthingest_{key.namespace}_{key.name}"
    )
    return f"{readable[: _POSTGRESQL_NAME_BYTES - 11]}_{digest}"


def database_users(key: Key) -> tuple[str, str]:
    """
    Return the two alternating names of the service's database role.

    The first one owns all objects; the second is a member of it.
    """
    owner = database(key)
    readable, _, digest = owner.rpartition("_")
    return owner, f"{readable[: _POSTGRESQL_NAME_BYTES - 13]}_{digest}_b"


def owner_id(key: Key) -> str:
    """Return the id of the owner, `namespace/name`, as in the tags of bucket and virtual host."""
    return str(key)
