"""
The values of a `HealthIngest`.

Names and defaults are those of crds/healthingests.healthingest.dev.yaml.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from healthingest_contract.topology import ALL_UPLOADS_BINDING, DEFAULT_EXCHANGE

PRIVATE_NETWORKS: Final = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
"""Where an ingress controller's pods live: RFC 1918."""

Passthrough = Mapping[str, Any]
"""
A piece of a pod that is handed on as it was written.

The schema of the CustomResourceDefinition has checked it.
"""


class Wish(StrEnum):
    """How much a property of the bucket is wanted."""

    REQUIRED = "Required"
    IF_SUPPORTED = "IfSupported"
    DISABLED = "Disabled"


class DeletionPolicy(StrEnum):
    """What happens to things that hold data when the HealthIngest goes."""

    RETAIN = "Retain"
    DELETE = "Delete"


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Which HealthIngest."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Encryption:
    """Encryption at rest; `key_id` with mode SSE-KMS alone."""

    mode: str = "SSE-S3"
    key_id: str | None = None
    policy: Wish = Wish.IF_SUPPORTED


@dataclass(frozen=True, slots=True)
class ObjectStoreSpec:
    """The bucket. `endpoint` None is AWS."""

    bucket: str
    credentials_secret: str
    endpoint: str | None = None
    region: str = "us-east-1"
    admin_secret: str | None = None
    versioning: Wish = Wish.IF_SUPPORTED
    public_access_block: Wish = Wish.IF_SUPPORTED
    encryption: Encryption = field(default_factory=Encryption)
    abort_incomplete_uploads_after_days: int = 1
    deletion_policy: DeletionPolicy = DeletionPolicy.RETAIN


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """A queue for consumers."""

    name: str
    bindings: tuple[str, ...] = (ALL_UPLOADS_BINDING,)
    delivery_limit: int = 20
    max_length_bytes: int = 4 * 1024**3


@dataclass(frozen=True, slots=True)
class BrokerSpec:
    """The broker and what is wanted on it."""

    admin_secret: str
    virtual_host: str
    exchange: str = DEFAULT_EXCHANGE
    queues: tuple[QueueSpec, ...] = (QueueSpec("processing"),)
    deletion_policy: DeletionPolicy = DeletionPolicy.RETAIN


@dataclass(frozen=True, slots=True)
class AutoscalingSpec:
    """Bounds and aim of the autoscaler."""

    max_replicas: int
    min_replicas: int = 2
    target_cpu_percent: int = 70


@dataclass(frozen=True, slots=True)
class LimitsSpec:
    """What one client may send."""

    max_file_size_bytes: int = 50 * 1024**2
    uploads: str = "10/minute"
    requests: str = "100/hour"


@dataclass(frozen=True, slots=True)
class SchemasSpec:
    """Which Avro schemas are accepted."""

    mode: str = "Any"
    config_map: str | None = None


@dataclass(frozen=True, slots=True)
class IngressSpec:
    """The way in from outside the cluster."""

    host: str
    class_name: str | None = None
    tls_secret: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PodSpec:
    """How pods are placed and dressed."""

    resources: Passthrough = field(default_factory=dict)
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Passthrough, ...] = ()
    affinity: Passthrough = field(default_factory=dict)
    topology_spread_constraints: tuple[Passthrough, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    image_pull_policy: str = "IfNotPresent"
    image_pull_secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DocumentationSpec:
    """Whether anybody may see `/openapi.json` and `/docs`. The page needs the document."""

    openapi: bool = False
    page: bool = False


@dataclass(frozen=True, slots=True)
class HealthIngestSpec:
    """`spec` of a HealthIngest. `image` None is the image of the operator's own release."""

    object_store: ObjectStoreSpec
    broker: BrokerSpec
    database_secret: str
    cache_secret: str | None = None
    image: str | None = None
    replicas: int = 2
    autoscaling: AutoscalingSpec | None = None
    registration: str = "Closed"
    limits: LimitsSpec = field(default_factory=LimitsSpec)
    schemas: SchemasSpec = field(default_factory=SchemasSpec)
    documentation: DocumentationSpec = field(default_factory=DocumentationSpec)
    ingress: IngressSpec | None = None
    trusted_proxies: tuple[str, ...] = PRIVATE_NETWORKS
    pods: PodSpec = field(default_factory=PodSpec)
    paused: bool = False


@dataclass(frozen=True, slots=True)
class HealthIngest:
    """One HealthIngest as the cluster knows it."""

    key: Key
    uid: str
    generation: int
    spec: HealthIngestSpec
    created: str = ""
    """RFC 3339 in UTC, so that it sorts."""
    rotate: str = ""
    """What asks for a rotation when it changes; see `resources.rotation`."""
    confirmed_database: str = ""
    """Place of another database that may be used."""
    confirmed_bucket: str = ""
    """Place of a bucket that may be used though it is not known."""
