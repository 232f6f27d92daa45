"""The HealthIngest as a value of the core, and the parser of its manifest."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from healthingest_contract.conditions import (
    CONFIRM_BUCKET_ANNOTATION,
    CONFIRM_DATABASE_ANNOTATION,
    CONFIRM_ERASURE_KEY_ANNOTATION,
    ROTATE_ANNOTATION,
)
from healthingest_operator.api.manifest import ManifestView
from healthingest_operator.api.problems import problems_of
from healthingest_operator.api.v1alpha1 import NAME_RULE, HealthIngestSpec


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Namespace and name of a HealthIngest."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class HealthIngest:
    """The spec of a HealthIngest, and the metadata that the operator reads."""

    key: Key
    uid: str
    generation: int
    spec: HealthIngestSpec
    created: str = ""
    """Creation time as RFC 3339 in UTC, which sorts as a string."""
    rotate: str = ""
    """
    Value of the rotate annotation; a change requests a rotation.

    See `reconcile.credentials.rotation`.
    """
    confirmed_database: str = ""
    """Value of the annotation that confirms a replaced database, as `host:port/name`."""
    confirmed_bucket: str = ""
    """Value of the annotation that confirms a replaced or unknown bucket."""
    confirmed_erasure_key: str = ""
    """Fingerprint of a lost erasure key that a new one may replace."""


class InvalidSpecError(ValueError):
    """
    The manifest breaks a rule of the API type.

    `problems` has one sentence for each field, for the author of the manifest. No value is
    repeated.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


def parse(body: ManifestView) -> HealthIngest:
    """
    Return the HealthIngest that *body*, the object from the API server, describes.

    The rules are those of the CustomResourceDefinition. They are checked again, because the object
    may be older than the schema, and the cluster's schema older than this operator.

    Raises:
        InvalidSpecError: the manifest breaks a rule.
    """
    metadata = body["metadata"]
    key = Key(metadata["namespace"], metadata["name"])
    problems = [] if NAME_RULE.keeps(key.name) else [f"metadata.name: {NAME_RULE.message}"]
    try:
        spec = _spec(body.get("spec") or {}, key)
    except ValidationError as error:
        raise InvalidSpecError([*problems, *problems_of(error)]) from None
    if problems:
        raise InvalidSpecError(problems)
    annotations = metadata.get("annotations") or {}
    return HealthIngest(
        key,
        metadata["uid"],
        metadata.get("generation", 0),
        spec,
        created=metadata.get("creationTimestamp") or "",
        rotate=annotations.get(ROTATE_ANNOTATION, ""),
        confirmed_database=annotations.get(CONFIRM_DATABASE_ANNOTATION, ""),
        confirmed_bucket=annotations.get(CONFIRM_BUCKET_ANNOTATION, ""),
        confirmed_erasure_key=annotations.get(CONFIRM_ERASURE_KEY_ANNOTATION, ""),
    )


def _spec(given: object, key: Key) -> HealthIngestSpec:
    """Return the validated spec; validation as JSON only converts lists to tuples."""
    completed = _with_virtual_host(_without_nulls(given), key)
    return HealthIngestSpec.model_validate_json(json.dumps(completed), by_alias=True, by_name=False)


def _without_nulls(given: object) -> object:
    """Return *given* without null fields: the API server reads them as absent."""
    if isinstance(given, Mapping):
        return {name: _without_nulls(value) for name, value in given.items() if value is not None}
    if isinstance(given, list):
        return [_without_nulls(value) for value in given]
    return given


def _with_virtual_host(given: object, key: Key) -> object:
    """Fill in the one default that depends on the object's name."""
    broker = given.get("broker") if isinstance(given, Mapping) else None
    if not isinstance(given, Mapping) or not isinstance(broker, Mapping):
        return given
    return {**given, "broker": {"virtualHost": f"{key.namespace}.{key.name}", **broker}}
