"""
Manifest to `HealthIngest`: the same checks as the CustomResourceDefinition's, again.

A manifest may be older than its schema, or the cluster's schema older than this operator; what got
past it is told as a list of problems. Values are not repeated in them, only paths.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from healthingest_contract.conditions import (
    CONFIRM_BUCKET_ANNOTATION,
    CONFIRM_DATABASE_ANNOTATION,
    ROTATE_ANNOTATION,
)
from healthingest_contract.topology import ALL_UPLOADS_BINDING, DEFAULT_EXCHANGE
from healthingest_operator.model.bounds import out_of_bounds
from healthingest_operator.model.spec import (
    PRIVATE_NETWORKS,
    AutoscalingSpec,
    BrokerSpec,
    DeletionPolicy,
    DocumentationSpec,
    Encryption,
    HealthIngest,
    HealthIngestSpec,
    IngressSpec,
    Key,
    LimitsSpec,
    ObjectStoreSpec,
    PodSpec,
    QueueSpec,
    SchemasSpec,
    Wish,
)

_Value = TypeVar("_Value")

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ADDRESS: Final = re.compile(r"\d+\.\d+\.\d+\.\d+")
_BROKER_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")
_RATE: Final = re.compile(r"[1-9]\d{0,8}/(second|minute|hour|day)")
_ENDPOINT: Final = re.compile(r"https?://[^/@\s?#]+/?")
_NAME: Final = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")
_BYTES: Final = re.compile(r"([1-9]\d*)(Ki|Mi|Gi|k|M|G)?")
_UNITS: Final = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
_S3_LARGEST_PUT_BYTES: Final = 5 * 2**30  # Amazon S3 user guide, "Multipart upload limits"


class InvalidSpecError(ValueError):
    """
    A manifest that no HealthIngest can be made of.

    `problems` are for its author: one sentence per field.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class _Reader:
    """Reads values by path and collects what is wrong instead of stopping at the first problem."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def check(self, holds: object, problem: str) -> None:
        if not holds:
            self.problems.append(problem)

    def group(self, parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        value = parent.get(name)
        if value is None:
            return {}
        self.check(isinstance(value, Mapping), f"{name} must be an object")
        return value if isinstance(value, Mapping) else {}

    def reference(self, parent: Mapping[str, Any], name: str, path: str) -> str:
        found = self.group(parent, name).get("name")
        self.check(found, f"{path}.{name}.name is required")
        return str(found or "")

    def choice(
        self,
        make: Callable[[str], _Value],
        value: Any,  # noqa: ANN401 - the manifest is untyped
        path: str,
        fallback: _Value,
    ) -> _Value:
        if value is None:
            return fallback
        try:
            return make(value)
        except ValueError:
            self.problems.append(f"{path} has a value that it cannot have")
            return fallback


def parse(body: Mapping[str, Any]) -> HealthIngest:
    """
    Read a HealthIngest as the cluster returns it.

    Raises:
        InvalidSpecError: it breaks a rule.
    """
    metadata = body["metadata"]
    key = Key(metadata["namespace"], metadata["name"])
    reader = _Reader()
    reader.check(
        _NAME.fullmatch(key.name),
        "metadata.name must be at most 40 lower-case letters, digits and hyphens",
    )
    try:
        spec = _spec(reader, reader.group(body, "spec"), key)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidSpecError(
            [*_problems(reader, body), "spec has a value of a wrong type"]
        ) from error
    problems = _problems(reader, body)
    if problems:
        raise InvalidSpecError(problems)
    created = metadata.get("creationTimestamp") or ""
    annotations = metadata.get("annotations") or {}
    return HealthIngest(
        key,
        metadata["uid"],
        metadata.get("generation", 0),
        spec,
        created,
        annotations.get(ROTATE_ANNOTATION, ""),
        annotations.get(CONFIRM_DATABASE_ANNOTATION, ""),
        annotations.get(CONFIRM_BUCKET_ANNOTATION, ""),
    )


def _problems(reader: _Reader, body: Mapping[str, Any]) -> list[str]:
    """What the rules say, and of the other fields whether they are within their bounds."""
    told = " ".join(reader.problems)
    return [
        *reader.problems,
        *(text for text in out_of_bounds(body.get("spec") or {}) if text.split()[0] not in told),
    ]


def _spec(reader: _Reader, spec: Mapping[str, Any], key: Key) -> HealthIngestSpec:
    cache = reader.group(spec, "cache")
    return HealthIngestSpec(
        object_store=_object_store(reader, reader.group(spec, "objectStore")),
        broker=_broker(reader, reader.group(spec, "broker"), key),
        database_secret=reader.reference(reader.group(spec, "database"), "secretRef", "database"),
        cache_secret=reader.reference(cache, "secretRef", "cache") if cache else None,
        image=spec.get("image"),
        replicas=int(spec.get("replicas", 2)),
        autoscaling=_autoscaling(reader, reader.group(spec, "autoscaling")),
        registration=reader.group(spec, "accounts").get("registration", "Closed"),
        limits=_limits(reader, reader.group(spec, "limits")),
        schemas=_schemas(reader, reader.group(spec, "schemas")),
        documentation=_documentation(reader.group(spec, "documentation")),
        ingress=_ingress(reader, reader.group(spec, "ingress")),
        trusted_proxies=tuple(spec.get("trustedProxies", PRIVATE_NETWORKS)),
        pods=_pods(reader, spec),
        paused=bool(spec.get("paused", False)),
    )


def _documentation(documentation: Mapping[str, Any]) -> DocumentationSpec:
    page = bool(documentation.get("page", False))
    return DocumentationSpec(openapi=page or bool(documentation.get("openapi", False)), page=page)


def _object_store(reader: _Reader, store: Mapping[str, Any]) -> ObjectStoreSpec:
    bucket = str(store.get("bucket", ""))
    looks_right = (
        _BUCKET.fullmatch(bucket) and ".." not in bucket and not _ADDRESS.fullmatch(bucket)
    )
    reader.check(
        looks_right, "objectStore.bucket is not a bucket name (3 to 63 of a-z, 0-9, dot, hyphen)"
    )
    endpoint = store.get("endpoint")
    reader.check(
        endpoint is None or _ENDPOINT.fullmatch(endpoint),
        "objectStore.endpoint is not an http(s) address",
    )
    days = int(store.get("abortIncompleteUploadsAfterDays", 1))
    reader.check(days >= 0, "objectStore.abortIncompleteUploadsAfterDays must not be negative")
    return ObjectStoreSpec(
        bucket=bucket,
        credentials_secret=reader.reference(store, "credentialsSecretRef", "objectStore"),
        endpoint=endpoint.rstrip("/") if endpoint else None,
        region=store.get("region", "us-east-1"),
        admin_secret=reader.reference(store, "adminSecretRef", "objectStore")
        if "adminSecretRef" in store
        else None,
        versioning=reader.choice(
            Wish, store.get("versioning"), "objectStore.versioning", Wish.IF_SUPPORTED
        ),
        public_access_block=reader.choice(
            Wish, store.get("publicAccessBlock"), "objectStore.publicAccessBlock", Wish.IF_SUPPORTED
        ),
        encryption=_encryption(reader, reader.group(store, "encryption")),
        abort_incomplete_uploads_after_days=days,
        deletion_policy=_deletion_policy(reader, store, "objectStore"),
    )


def _encryption(reader: _Reader, encryption: Mapping[str, Any]) -> Encryption:
    mode, key_id = encryption.get("mode", "SSE-S3"), encryption.get("keyId")
    reader.check(
        mode in {"None", "SSE-S3", "SSE-KMS"},
        "objectStore.encryption.mode has a value that it cannot have",
    )
    reader.check(
        (mode == "SSE-KMS") == bool(key_id),
        "objectStore.encryption.keyId belongs to mode SSE-KMS alone",
    )
    policy = reader.choice(
        Wish, encryption.get("policy"), "objectStore.encryption.policy", Wish.IF_SUPPORTED
    )
    return Encryption(mode, key_id, policy)


def _deletion_policy(reader: _Reader, parent: Mapping[str, Any], path: str) -> DeletionPolicy:
    return reader.choice(
        DeletionPolicy,
        parent.get("deletionPolicy"),
        f"{path}.deletionPolicy",
        DeletionPolicy.RETAIN,
    )


def _broker(reader: _Reader, broker: Mapping[str, Any], key: Key) -> BrokerSpec:
    read = BrokerSpec(
        admin_secret=reader.reference(broker, "adminSecretRef", "broker"),
        virtual_host=broker.get("virtualHost") or f"{key.namespace}.{key.name}",
        exchange=broker.get("exchange", DEFAULT_EXCHANGE),
        queues=tuple(_queue(queue) for queue in broker.get("queues", [{"name": "processing"}])),
        deletion_policy=_deletion_policy(reader, broker, "broker"),
    )
    names = [queue.name for queue in read.queues]
    reader.check(_BROKER_NAME.fullmatch(read.virtual_host), "broker.virtualHost is not a name")
    reader.check(_BROKER_NAME.fullmatch(read.exchange), "broker.exchange is not a name")
    reader.check(
        all(_BROKER_NAME.fullmatch(name) for name in names),
        "broker.queues have a name that is none",
    )
    reader.check(len(set(names)) == len(names), "broker.queues have two of one name")
    reader.check(
        not {f"{name}.dead" for name in names} & set(names),
        "a queue has the name of a dead-letter queue",
    )
    reader.check(
        all(queue.delivery_limit > 0 for queue in read.queues),
        "broker.queues.deliveryLimit must be positive",
    )
    return read


def _queue(queue: Mapping[str, Any]) -> QueueSpec:
    return QueueSpec(
        name=str(queue["name"]),
        bindings=tuple(queue.get("bindings", (ALL_UPLOADS_BINDING,))),
        delivery_limit=int(queue.get("deliveryLimit", 20)),
        max_length_bytes=int(queue.get("maxLengthBytes", 4 * 2**30)),
    )


def _autoscaling(reader: _Reader, scaling: Mapping[str, Any]) -> AutoscalingSpec | None:
    if not scaling:
        return None
    read = AutoscalingSpec(
        max_replicas=int(scaling["maxReplicas"]),
        min_replicas=int(scaling.get("minReplicas", 2)),
        target_cpu_percent=int(scaling.get("targetCPUUtilizationPercentage", 70)),
    )
    reader.check(
        1 <= read.min_replicas <= read.max_replicas,
        "autoscaling.minReplicas must not exceed maxReplicas",
    )
    return read


def _limits(reader: _Reader, limits: Mapping[str, Any]) -> LimitsSpec:
    uploads, requests = limits.get("uploads", "10/minute"), limits.get("requests", "100/hour")
    reader.check(_RATE.fullmatch(uploads), "limits.uploads is not a rate such as 10/minute")
    reader.check(_RATE.fullmatch(requests), "limits.requests is not a rate such as 100/hour")
    size = _BYTES.fullmatch(limits.get("maxFileSize", "50Mi"))
    reader.check(size, "limits.maxFileSize is not a size such as 50Mi")
    size_bytes = int(size[1]) * _UNITS[size[2] or ""] if size else 1
    reader.check(size_bytes <= _S3_LARGEST_PUT_BYTES, "limits.maxFileSize must not exceed 5Gi")
    return LimitsSpec(size_bytes, uploads, requests)


def _schemas(reader: _Reader, schemas: Mapping[str, Any]) -> SchemasSpec:
    mode = schemas.get("mode", "Any")
    config_map = (
        reader.reference(schemas, "configMapRef", "schemas") if "configMapRef" in schemas else None
    )
    reader.check(mode in {"Any", "Allowed"}, "schemas.mode has a value that it cannot have")
    reader.check(mode != "Allowed" or config_map, "schemas.mode Allowed needs configMapRef")
    return SchemasSpec(mode, config_map)


def _ingress(reader: _Reader, ingress: Mapping[str, Any]) -> IngressSpec | None:
    if not ingress:
        return None
    return IngressSpec(
        host=str(ingress.get("host", "")),
        class_name=ingress.get("className"),
        tls_secret=ingress.get("tlsSecretName"),
        annotations=reader.group(ingress, "annotations"),
    )


def _pods(reader: _Reader, spec: Mapping[str, Any]) -> PodSpec:
    return PodSpec(
        resources=reader.group(spec, "resources"),
        node_selector=reader.group(spec, "nodeSelector"),
        tolerations=tuple(spec.get("tolerations", ())),
        affinity=reader.group(spec, "affinity"),
        topology_spread_constraints=tuple(spec.get("topologySpreadConstraints", ())),
        annotations=reader.group(spec, "podAnnotations"),
        image_pull_policy=spec.get("imagePullPolicy", "IfNotPresent"),
        image_pull_secrets=tuple(secret["name"] for secret in spec.get("imagePullSecrets", ())),
    )
