"""
The API type `HealthIngest`, version v1alpha1: the one source of every field.

Each field has its type, default, bounds and description here, and each rule between fields stands
in CEL beside its equal in Python. `make crds` writes the CustomResourceDefinition, the chart's copy
and the tables of the reference from this module; `healthingest.parse` reads manifests with it.
"""

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal, TypeAlias

from pydantic import AfterValidator, Field

from healthingest_contract import service_settings
from healthingest_contract.topology import ALL_UPLOADS_BINDING, DEFAULT_EXCHANGE
from healthingest_operator.api.declaring import (
    OPTIONAL,
    ApiModel,
    Distinct,
    Int32,
    Int64,
    PodField,
    Rule,
    matching,
)
from healthingest_operator.api.manifest import Manifest
from healthingest_operator.api.pod_fields import (
    AFFINITY,
    RESOURCES,
    TOLERATION,
    TOPOLOGY_SPREAD_CONSTRAINT,
)

GROUP: Final = "healthingest.dev"
VERSION: Final = "v1alpha1"
KIND: Final = "HealthIngest"
PLURAL: Final = "healthingests"
DESCRIPTION: Final = (
    "An ingestion service for health data: bucket, broker topology, database, API and relay."
)
SHORT_NAMES: Final = ("hi",)
CATEGORIES: Final = ("all",)
PRINTER_COLUMNS: Final = (
    ("Ready", "string", ".status.conditions[?(@.type=='Ready')].status"),
    ("Replicas", "integer", ".status.replicas"),
    ("URL", "string", ".status.url"),
    ("Reason", "string", ".status.conditions[?(@.type=='Ready')].reason"),
    ("Age", "date", ".metadata.creationTimestamp"),
)
"""Name, type and path of each column of `kubectl get`."""
SCALE_SUBRESOURCE: Final = {
    "specReplicasPath": ".spec.replicas",
    "statusReplicasPath": ".status.replicas",
    "labelSelectorPath": ".status.selector",
}

NAME_RULE: Final = Rule(
    "self.metadata.name.matches('^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$')",
    "the name must be at most 40 characters, lower-case letters, digits and hyphens,"
    " beginning with a letter",
    lambda name: re.fullmatch(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", name) is not None,
)
"""Names of children and of database roles contain the name of the HealthIngest."""

PRIVATE_NETWORKS: Final = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
"""Where the pods of an ingress controller live: RFC 1918."""
S3_LARGEST_PUT_BYTES: Final = 5 * 2**30
"""Amazon S3 user guide, "Multipart upload limits"."""

_UNITS: Final = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def bytes_in(size: str) -> int:
    """Return the bytes of a size such as `50Mi`."""
    digits = size.rstrip("kKMGi")
    return int(digits) * _UNITS[size.removeprefix(digits)]


class Requirement(StrEnum):
    """How strictly a property of the bucket is required."""

    REQUIRED = "Required"
    IF_SUPPORTED = "IfSupported"
    DISABLED = "Disabled"


class DeletionPolicy(StrEnum):
    """Whether a store of data is deleted with the HealthIngest."""

    RETAIN = "Retain"
    DELETE = "Delete"


_BROKER_NAME: Final = matching(
    r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
    "letters, digits, dots, hyphens and underscores, beginning with a letter or digit",
)
_RATE: Final = matching(
    r"^[1-9][0-9]{0,8}/(second|minute|hour|day)$",
    "a number per second, minute, hour or day, such as 10/minute",
)
_HOST_LABEL: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"

ObjectName = Annotated[str, Field(min_length=1, max_length=253)]
Rate = Annotated[str, Field(max_length=32), _RATE]
StringMap = Annotated[dict[str, Annotated[str, Field(max_length=4096)]], Field(max_length=64)]
_SETTABLE: Final = ",\n".join(f"  '{name}'" for name in sorted(service_settings.SETTABLE))
ServiceSettings = Annotated[
    dict[str, Annotated[str, Field(max_length=1024)]],
    Field(max_length=100),
    Rule(
        f"self.all(name, name in [\n{_SETTABLE}\n])",
        "has a name that spec.settings may not have:"
        f" {service_settings.REFERENCE} says how each setting is set",
        lambda settings: all(name in service_settings.SETTABLE for name in settings),
        lambda settings: "; ".join(_refusals(settings)),
    ),
]
PodPart: TypeAlias = Manifest
"""A part of a pod that is passed on unchanged."""


def _refusals(settings: Iterable[str]) -> list[str]:
    """Return why names of *settings* are refused, each reason once."""
    reasons = (service_settings.refusal(name) for name in sorted(settings))
    return list(dict.fromkeys(reason for reason in reasons if reason is not None))


class SecretRef(ApiModel):
    """A Secret."""

    name: ObjectName = Field(description="Name of the Secret.")


class ImagePullSecret(ApiModel):
    """A Secret."""

    name: ObjectName = Field(description="Its name.")


class ConfigMapRef(ApiModel):
    """A ConfigMap."""

    name: ObjectName = Field(description="Its name.")


class AutoscalingSpec(ApiModel):
    """A HorizontalPodAutoscaler for the API."""

    min_replicas: int = Field(default=2, ge=1, le=1000, description="Fewest API pods.")
    max_replicas: int = Field(ge=1, le=1000, description="Most API pods.")
    target_cpu_utilization_percentage: int = Field(
        default=70,
        ge=1,
        le=1000,
        alias="targetCPUUtilizationPercentage",
        description="Mean use of the requested CPU to aim at, in percent.",
    )

    rules: ClassVar = (
        Rule(
            "self.minReplicas <= self.maxReplicas",
            "minReplicas must not exceed maxReplicas",
            lambda self: self.min_replicas <= self.max_replicas,
        ),
    )


class EncryptionSpec(ApiModel):
    """Encryption at rest."""

    mode: Literal["None", "SSE-S3", "SSE-KMS"] = Field(
        default="SSE-S3", description="How objects are encrypted by the store."
    )
    key_id: str | None = Field(
        default=None, min_length=1, max_length=2048, description="KMS key; with mode SSE-KMS."
    )
    policy: Literal[Requirement.REQUIRED, Requirement.IF_SUPPORTED] = Field(
        default=Requirement.IF_SUPPORTED, description="What to do when the store cannot."
    )

    rules: ClassVar = (
        Rule(
            "(self.mode == 'SSE-KMS') == has(self.keyId)",
            "keyId belongs to mode SSE-KMS, and to it alone",
            lambda self: (self.mode == "SSE-KMS") == (self.key_id is not None),
        ),
    )


class ObjectStoreSpec(ApiModel):
    """The S3 bucket that keeps the uploads."""

    endpoint: (
        Annotated[
            str,
            Field(max_length=2048),
            matching(
                r"^https?://[^/@\t\n\f\r ?#]+/?$",
                "an address such as https://s3.example:9000, without login and path",
            ),
            AfterValidator(lambda address: address.rstrip("/")),
        ]
        | None
    ) = Field(
        default=None,
        description="Address of the S3 server, e.g. https://s3.example; without it AWS.",
    )
    region: Annotated[str, matching(r"^[a-z0-9-]+$", "lower-case letters, digits and hyphens")] = (
        Field(
            default="us-east-1",
            min_length=1,
            max_length=64,
            description="Region that requests are signed for.",
        )
    )
    bucket: Annotated[
        str,
        matching(
            r"^[a-z0-9][a-z0-9.-]*[a-z0-9]$",
            "lower-case letters, digits, dots and hyphens, beginning and ending with a letter"
            " or digit",
        ),
        Rule("self == oldSelf", "the bucket cannot be changed: make another HealthIngest"),
        Rule(
            "!self.contains('..')",
            "a bucket name has no two adjacent dots",
            lambda bucket: ".." not in bucket,
        ),
        Rule(
            "!self.matches('^[0-9]+[.][0-9]+[.][0-9]+[.][0-9]+$')",
            "a bucket name must not look like an IP address",
            lambda bucket: re.fullmatch(r"[0-9]+(\.[0-9]+){3}", bucket) is None,
        ),
    ] = Field(
        min_length=3,
        max_length=63,
        description="Name of the bucket; made when missing. Cannot be changed.",
    )
    credentials_secret_ref: SecretRef = Field(
        description="Secret with `accessKeyId` and `secretAccessKey`, used by the service."
    )
    admin_secret_ref: SecretRef | None = Field(
        default=None,
        description="Secret with the same keys, used by the operator alone to make the bucket;"
        " without it `credentialsSecretRef`.",
    )
    versioning: Requirement = Field(
        default=Requirement.IF_SUPPORTED, description="Object versioning of the bucket."
    )
    public_access_block: Requirement = Field(
        default=Requirement.IF_SUPPORTED, description="Block of public access to the bucket."
    )
    encryption: EncryptionSpec = EncryptionSpec()
    abort_incomplete_uploads_after_days: int = Field(
        default=1,
        ge=0,
        le=365,
        description="Days after which parts of unfinished multipart uploads go; 0 leaves them.",
    )
    deletion_policy: DeletionPolicy = Field(
        default=DeletionPolicy.RETAIN,
        description="Whether the bucket goes with the HealthIngest; one with objects never does.",
    )


class QueueSpec(ApiModel):
    """A quorum queue with its dead-letter queue."""

    name: Annotated[str, _BROKER_NAME] = Field(
        min_length=1,
        max_length=120,
        description="Name of the queue; its dead-letter queue is called `<name>.dead`.",
    )
    bindings: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=255)], ...], Distinct()
    ] = Field(
        default=(ALL_UPLOADS_BINDING,),
        min_length=1,
        max_length=32,
        description="Topic patterns of the announcements that it gets.",
    )
    delivery_limit: int = Field(
        default=20,
        ge=1,
        le=1_000_000,
        description="Deliveries of a message before it is dead-lettered.",
    )
    max_length_bytes: Int64 = Field(
        default=4 * 2**30,
        ge=2**20,
        le=2**40,
        description="Bytes of waiting messages; beyond it announcements wait in the outbox.",
    )


def _none_is_a_dead_letter_queue(queues: tuple[QueueSpec, ...]) -> bool:
    names = {queue.name for queue in queues}
    return not names & {f"{name}.dead" for name in names}


class BrokerSpec(ApiModel):
    """The RabbitMQ broker that announces the uploads."""

    admin_secret_ref: SecretRef = Field(
        description="Secret with `managementUrl`, `amqpUrl` (scheme, host, port), `username`,"
        " `password`."
    )
    virtual_host: Annotated[str, _BROKER_NAME] = Field(
        min_length=1,
        max_length=110,
        description="Virtual host; made when missing. Cannot be changed. Default: namespace.name.",
        json_schema_extra={OPTIONAL: True},
    )
    exchange: Annotated[
        str,
        _BROKER_NAME,
        Rule("self == oldSelf", "the exchange cannot be changed: make another HealthIngest"),
    ] = Field(
        default=DEFAULT_EXCHANGE,
        min_length=1,
        max_length=120,
        description="Topic exchange; made when missing. Cannot be changed.",
    )
    queues: Annotated[
        tuple[QueueSpec, ...],
        Distinct("name"),
        Rule(
            "self.all(q, !self.exists(o, o.name == q.name + '.dead'))",
            "a queue must not be called as another's dead-letter queue",
            _none_is_a_dead_letter_queue,
        ),
    ] = Field(
        default=(QueueSpec(name="processing"),), max_length=32, description="Queues for consumers."
    )
    deletion_policy: DeletionPolicy = Field(
        default=DeletionPolicy.RETAIN,
        description="Whether the virtual host goes with the HealthIngest;"
        " one with messages never does.",
    )

    rules: ClassVar = (
        Rule(
            "has(self.virtualHost) == has(oldSelf.virtualHost)"
            " && (!has(self.virtualHost) || self.virtualHost == oldSelf.virtualHost)",
            "the virtual host cannot be changed: make another HealthIngest",
        ),
    )


class DatabaseSpec(ApiModel):
    """The PostgreSQL database of accounts, uploads and the outbox."""

    secret_ref: SecretRef = Field(
        description="Secret with `url` (a database that exists), or `adminUrl` (the operator makes"
        " role and database)."
    )


class CacheSpec(ApiModel):
    """The Redis server that counts requests; without it each pod counts for itself."""

    secret_ref: SecretRef = Field(description="Secret with `url`.")


class AccountsSpec(ApiModel):
    """Who may have an account."""

    registration: Literal["Closed", "Open", "VerifiedOnly"] = Field(
        default="Closed", description="Whether clients may register themselves."
    )


class DocumentationSpec(ApiModel):
    """What the API shows of itself to anybody."""

    openapi: bool = Field(default=False, description="Whether /openapi.json is served.")
    page: bool = Field(
        default=False, description="Whether the page /docs is served, and /openapi.json with it."
    )

    @property
    def serves_openapi(self) -> bool:
        """Whether `/openapi.json` is served: the page needs it."""
        return self.openapi or self.page


class LimitsSpec(ApiModel):
    """What one client may send."""

    max_file_size: Annotated[
        str,
        matching(r"^[1-9][0-9]*(Ki|Mi|Gi|k|M|G)?$", "a number of bytes such as 50Mi"),
        Rule(
            "quantity(self).compareTo(quantity('5Gi')) <= 0",
            "maxFileSize must not exceed 5Gi, the most that S3 takes in one request",
            lambda size: bytes_in(size) <= S3_LARGEST_PUT_BYTES,
        ),
    ] = Field(default="50Mi", max_length=16, description="Largest file, in bytes, e.g. 50Mi.")
    uploads: Rate = Field(default="10/minute", description="Uploads per principal.")
    requests: Rate = Field(default="100/hour", description="Other requests per principal.")

    @property
    def max_file_size_bytes(self) -> int:
        """`max_file_size` as a number."""
        return bytes_in(self.max_file_size)


class SchemasSpec(ApiModel):
    """Avro schemas that are accepted."""

    mode: Literal["Allowed", "Any"] = Field(
        default="Any", description="Allowed: those of the ConfigMap; Any: all."
    )
    config_map_ref: ConfigMapRef | None = Field(
        default=None, description="ConfigMap whose keys are files with Avro schemas (.avsc)."
    )

    rules: ClassVar = (
        Rule(
            "self.mode != 'Allowed' || has(self.configMapRef)",
            "mode Allowed needs configMapRef",
            lambda self: self.mode != "Allowed" or self.config_map_ref is not None,
        ),
    )


class IngressSpec(ApiModel):
    """An Ingress for the API."""

    class_name: ObjectName | None = Field(
        default=None, description="Ingress class; without it the cluster's default."
    )
    host: Annotated[
        str,
        matching(
            rf"^(\*\.)?{_HOST_LABEL}(\.{_HOST_LABEL})*$",
            "a lower-case host name such as ingest.example",
        ),
    ] = Field(min_length=1, max_length=253, description="Host name.")
    tls_secret_name: ObjectName | None = Field(
        default=None, description="Secret with the certificate; without it plain HTTP."
    )
    annotations: StringMap = Field(default={}, description="Annotations of the Ingress.")


class HealthIngestSpec(ApiModel):
    """What is wanted."""

    image: str | None = Field(
        default=None,
        min_length=1,
        max_length=512,
        description="Image of the service; without it the one of the operator's own release.",
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        default="IfNotPresent", description="As in a pod."
    )
    image_pull_secrets: tuple[ImagePullSecret, ...] = Field(
        default=(), max_length=16, description="Secrets to pull the image with."
    )
    replicas: int = Field(
        default=2,
        ge=0,
        le=1000,
        description="API pods; neither used nor written while `autoscaling` is set.",
    )
    autoscaling: AutoscalingSpec | None = None
    object_store: ObjectStoreSpec
    broker: BrokerSpec
    database: DatabaseSpec
    cache: CacheSpec | None = None
    accounts: AccountsSpec = AccountsSpec()
    documentation: DocumentationSpec = DocumentationSpec()
    limits: LimitsSpec = LimitsSpec()
    schemas: SchemasSpec = SchemasSpec()
    settings: ServiceSettings = Field(
        default={},
        description="Further settings of the service by their variables, such as"
        " `HEALTHINGEST_LIMITS__LOGINS`; docs/reference/settings.md says which.",
    )
    ingress: IngressSpec | None = None
    trusted_proxies: tuple[
        Annotated[
            str,
            Field(min_length=3, max_length=64),
            matching(r"^[0-9a-fA-F.:]+/[0-9]{1,3}$", "a network such as 10.0.0.0/8"),
        ],
        ...,
    ] = Field(
        default=PRIVATE_NETWORKS,
        max_length=64,
        description="Networks (CIDR) whose X-Forwarded-For is believed.",
    )
    resources: Annotated[PodPart, PodField(RESOURCES)] = Field(default={})
    node_selector: StringMap = Field(default={}, description="Node labels that pods need.")
    tolerations: tuple[Annotated[PodPart, PodField(TOLERATION)], ...] = Field(
        default=(), max_length=64, description="Taints that pods stand."
    )
    affinity: Annotated[PodPart, PodField(AFFINITY)] = Field(default={})
    topology_spread_constraints: tuple[
        Annotated[PodPart, PodField(TOPOLOGY_SPREAD_CONSTRAINT)], ...
    ] = Field(
        default=(),
        max_length=16,
        description="How API pods spread, as in a pod; default: over nodes, where possible.",
    )
    pod_annotations: StringMap = Field(default={}, description="Annotations of the pods.")
    paused: bool = Field(
        default=False,
        description="The operator changes nothing while true; deletion is carried out all the"
        " same.",
    )


class Condition(ApiModel):
    """One condition."""

    type: str = Field(max_length=316, description="Its type.")
    status: Literal["True", "False", "Unknown"] = Field(description="Its status.")
    reason: str = Field(max_length=1024, description="Why; see docs/reference/runbook.md.")
    message: str = Field(max_length=32768, description="For people.")
    observed_generation: Int64 | None = Field(
        default=None, ge=0, description="Generation it was found for."
    )
    last_transition_time: str = Field(
        description="When its status changed.", json_schema_extra={"format": "date-time"}
    )


class SecretsStatus(ApiModel):
    """Secrets made by the operator."""

    service: str | None = Field(default=None, description="For the service alone.")
    consumer: str | None = Field(default=None, description="For consumers of the queues.")


class ObjectStoreStatus(ApiModel):
    """What the probe of the object store found."""

    probed: str | None = Field(
        default=None, description="Fingerprint of the settings that were probed."
    )
    place: str | None = Field(
        default=None,
        description="Host and bucket that are used; another place must be confirmed.",
    )
    installation: str | None = Field(
        default=None, description="The mark that the bucket bears as a tag."
    )
    missing_capabilities: Annotated[tuple[str, ...], Distinct()] = Field(
        default=(), max_length=32, description="What the store cannot do."
    )


class DatabaseStatus(ApiModel):
    """The database that is used."""

    installation: str | None = Field(
        default=None,
        description="The mark that the database bears; one with another mark must be confirmed.",
    )


class HealthIngestStatus(ApiModel):
    """What holds. Written by the operator."""

    observed_generation: Int64 | None = Field(
        default=None, ge=-1, description="Generation that was looked at; -1 before the first look."
    )
    conditions: Annotated[tuple[Condition, ...], Distinct("type")] = Field(
        default=(), max_length=32, description="What holds and what does not."
    )
    url: str | None = Field(default=None, description="Where clients send uploads.")
    replicas: Int32 | None = Field(default=None, description="API pods there are.")
    selector: str | None = Field(default=None, description="Label selector of the API's pods.")
    workload: str | None = Field(
        default=None, description="Fingerprint of the workload that was last rolled out."
    )
    secrets: SecretsStatus | None = None
    object_store: ObjectStoreStatus | None = None
    database: DatabaseStatus | None = None
    left_behind: tuple[str, ...] = Field(
        default=(),
        max_length=32,
        description="What is on the broker though the spec does not name it, because it has"
        " messages.",
    )


STATUS_BEFORE_FIRST_RECONCILE: Final = HealthIngestStatus(observed_generation=-1)
"""The API server's default: without a status `helm --wait` and Flux take a resource for ready."""
