"""
The API type `HealthIngest`, version v1alpha1: the only source of every field.

Each field has its type, default, bounds and description here. Each rule between fields is written
in CEL and in Python. `make crds` generates the CustomResourceDefinition, its copy in the chart and
the tables of the reference from this module; `healthingest.parse` validates manifests with it.
"""

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal, TypeAlias

from pydantic import AfterValidator, Field

from healthingest_contract import service_settings
from healthingest_contract.pod_identity import AWS_AUDIENCE
from healthingest_contract.topology import (
    ALL_ERASURES_BINDING,
    ALL_UPLOADS_BINDING,
    DEFAULT_EXCHANGE,
    ERASURES_QUEUE,
)
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
    ENV_VAR,
    HOST_ALIAS,
    TOLERATION,
    TOPOLOGY_SPREAD_CONSTRAINT,
    resources_of,
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
"""Name, type and JSON path of each printer column of `kubectl get`."""
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
"""The name is limited because names of children and of database roles contain it."""

PRIVATE_NETWORKS: Final = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
"""Private networks (RFC 1918 and RFC 4193), in which an ingress controller usually runs."""
S3_LARGEST_PUT_BYTES: Final = 5 * 2**30
"""The size limit of a single PUT; Amazon S3 user guide, "Multipart upload limits"."""

_UNITS: Final = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def bytes_in(size: str) -> int:
    """Return the number of bytes of a size such as `50Mi`."""
    digits = size.rstrip("kKMGi")
    return int(digits) * _UNITS[size.removeprefix(digits)]


def _each_once(names: Iterable[str]) -> bool:
    listed = tuple(names)
    return len(set(listed)) == len(listed)


DEFAULT_NONCURRENT_DAYS: Final = 30
"""Days in which an object that was deleted by mistake can be brought back."""


class Requirement(StrEnum):
    """How strictly a property of the bucket is required."""

    REQUIRED = "Required"
    IF_SUPPORTED = "IfSupported"
    DISABLED = "Disabled"


class DeletionPolicy(StrEnum):
    """Whether bucket or virtual host is deleted with the HealthIngest."""

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
DataKey = Annotated[
    str,
    Field(min_length=1, max_length=253),
    matching(r"^[-._a-zA-Z0-9]+$", "letters, digits, dots, hyphens and underscores"),
]
Rate = Annotated[str, Field(max_length=32), _RATE]
StringMap = Annotated[dict[str, Annotated[str, Field(max_length=4096)]], Field(max_length=64)]
LabelMap = Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=64)]
_SETTABLE: Final = ",\n".join(f"  '{name}'" for name in sorted(service_settings.SETTABLE))
ServiceSettings = Annotated[
    dict[str, Annotated[str, Field(max_length=1024)]],
    Field(max_length=100),
    Rule(
        f"self.all(name, name in [\n{_SETTABLE}\n])",
        "has a name that spec.settings may not have:"
        f" {service_settings.REFERENCE} says how each setting is set",
        lambda settings: all(name in service_settings.SETTABLE for name in settings),
        lambda settings: "; ".join(_refused(settings)),
    ),
]
_UID_MAX: Final = 2**31 - 1
_ADDRESS: Final = matching(
    r"^https?://[^/@\t\n\f\r ?#]+/?$", "an address such as http://host.example:3128, without login"
)
PodPart: TypeAlias = Manifest
"""A part of a pod template, which the operator copies unchanged."""


def _refused(settings: Iterable[str]) -> list[str]:
    """Return the reasons for which names of *settings* are refused, each reason once."""
    reasons = (service_settings.refusal(name) for name in sorted(settings))
    return list(dict.fromkeys(reason for reason in reasons if reason is not None))


class SecretRef(ApiModel):
    """A reference to a Secret in the same namespace."""

    name: ObjectName = Field(description="Name of the Secret.")


class StoreKeys(ApiModel):
    """Names of the keys, if they differ; the Secret is then read by these names only."""

    access_key_id: DataKey = Field(
        default="accessKeyId", description="Key with the ID of the access key."
    )
    secret_access_key: DataKey = Field(
        default="secretAccessKey", description="Key with the secret access key."
    )


class BrokerKeys(ApiModel):
    """Names of the keys, if they differ; the Secret is then read by these names only."""

    management_url: DataKey = Field(
        default="managementUrl", description="Key with the URL of the management API."
    )
    amqp_url: DataKey = Field(
        default="amqpUrl", description="Key with scheme, host and port of the AMQP port."
    )
    username: DataKey = Field(default="username", description="Key with the user name.")
    password: DataKey = Field(default="password", description="Key with the password.")


class BrokerUserKeys(ApiModel):
    """Names of the keys, if they differ; the Secret is then read by these names only."""

    amqp_url: DataKey = Field(
        default="amqpUrl", description="Key with scheme, host and port of the AMQP port."
    )
    username: DataKey = Field(default="username", description="Key with the user name.")
    password: DataKey = Field(default="password", description="Key with the password.")


class DatabaseKeys(ApiModel):
    """Names of the keys, if they differ; the Secret is then read by these names only."""

    url: DataKey = Field(default="url", description="Key with the URL of an existing database.")
    admin_url: DataKey = Field(
        default="adminUrl",
        description="Key with the URL of a server on which the operator creates the database.",
    )


class CacheKeys(ApiModel):
    """Names of the keys, if they differ; the Secret is then read by these names only."""

    url: DataKey = Field(default="url", description="Key with the URL of the Redis server.")


class MailKeys(ApiModel):
    """Names of the keys, if they differ; the Secret is then read by these names only."""

    username: DataKey = Field(default="username", description="Key with the user name.")
    password: DataKey = Field(default="password", description="Key with the password.")


class OidcClientKeys(ApiModel):
    """Names of the keys, if they differ; the Secret is then read by these names only."""

    client_secret: DataKey = Field(
        default="clientSecret", description="Key with the client secret."
    )


class StoreSecretRef(SecretRef):
    """A reference to a Secret with an access key, in the same namespace."""

    keys: StoreKeys | None = None


class BrokerSecretRef(SecretRef):
    """A reference to a Secret with the administrator of a broker, in the same namespace."""

    keys: BrokerKeys | None = None


class BrokerUserSecretRef(SecretRef):
    """A reference to a Secret with an ordinary user of a broker, in the same namespace."""

    keys: BrokerUserKeys | None = None


class DatabaseSecretRef(SecretRef):
    """A reference to a Secret with the URL of a database, in the same namespace."""

    keys: DatabaseKeys | None = None


class CacheSecretRef(SecretRef):
    """A reference to a Secret with the URL of a cache, in the same namespace."""

    keys: CacheKeys | None = None


class MailSecretRef(SecretRef):
    """A reference to a Secret with the login at a mail server, in the same namespace."""

    keys: MailKeys | None = None


class OidcClientSecretRef(SecretRef):
    """A reference to a Secret with a client secret, in the same namespace."""

    keys: OidcClientKeys | None = None


class ImagePullSecret(ApiModel):
    """A reference to a registry Secret in the same namespace."""

    name: ObjectName = Field(description="Name of the object.")


class ConfigMapRef(ApiModel):
    """A reference to a ConfigMap in the same namespace."""

    name: ObjectName = Field(description="Name of the object.")


class ConfigMapKeyRef(ApiModel):
    """A key of a ConfigMap in the same namespace."""

    name: ObjectName = Field(description="Name of the ConfigMap.")
    key: DataKey = Field(default="ca.crt", description="Key in the ConfigMap.")


class SecretKeyRef(ApiModel):
    """A key of a Secret in the same namespace."""

    name: ObjectName = Field(description="Name of the Secret.")
    key: DataKey = Field(default="ca.crt", description="Key in the Secret.")


class CaBundleSource(ApiModel):
    """Certificate authorities in PEM, which replace the public ones."""

    config_map_key_ref: ConfigMapKeyRef | None = None
    secret_key_ref: SecretKeyRef | None = None

    rules: ClassVar = (
        Rule(
            "has(self.configMapKeyRef) != has(self.secretKeyRef)",
            "caBundle needs either configMapKeyRef or secretKeyRef",
            lambda self: (self.config_map_key_ref is None) != (self.secret_key_ref is None),
        ),
    )


class TlsSpec(ApiModel):
    """TLS of the connections to dependencies."""

    ca_bundle: CaBundleSource


class ClientTlsSpec(ApiModel):
    """TLS of the connections to one dependency, which can require a client certificate."""

    ca_bundle: CaBundleSource | None = None
    client_certificate_secret_ref: SecretRef | None = Field(
        default=None,
        description="Secret of type kubernetes.io/tls with certificate and key of the client.",
    )

    rules: ClassVar = (
        Rule(
            "has(self.caBundle) || has(self.clientCertificateSecretRef)",
            "tls needs caBundle, clientCertificateSecretRef or both",
            lambda self: (
                self.ca_bundle is not None or self.client_certificate_secret_ref is not None
            ),
        ),
    )


class AutoscalingSpec(ApiModel):
    """A HorizontalPodAutoscaler for the API."""

    min_replicas: int = Field(default=2, ge=1, le=1000, description="Minimum number of API pods.")
    max_replicas: int = Field(ge=1, le=1000, description="Maximum number of API pods.")
    target_cpu_utilization_percentage: int = Field(
        default=70,
        ge=1,
        le=1000,
        alias="targetCPUUtilizationPercentage",
        description="Target average CPU utilization, in percent of the requested CPU.",
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
        default="SSE-S3", description="How the object store encrypts objects."
    )
    key_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=2048,
        description="ID of the KMS key; only with mode SSE-KMS, where it is required.",
    )
    policy: Literal[Requirement.REQUIRED, Requirement.IF_SUPPORTED] = Field(
        default=Requirement.IF_SUPPORTED,
        description="Whether an object store without this encryption is accepted.",
    )

    rules: ClassVar = (
        Rule(
            "(self.mode == 'SSE-KMS') == has(self.keyId)",
            "keyId is required with mode SSE-KMS and not permitted with another mode",
            lambda self: (self.mode == "SSE-KMS") == (self.key_id is not None),
        ),
    )


class ObjectLockSpec(ApiModel):
    """Retention of each object version by the store: nobody can delete it earlier."""

    mode: Literal["Governance", "Compliance"] = Field(
        description="Governance: a privileged user can lift a lock. Compliance: nobody can."
    )
    days: Int32 = Field(
        ge=1, le=36500, description="Days after its upload in which a version cannot be deleted."
    )


_ENDPOINT: Final = matching(
    r"^https?://[^/@\t\n\f\r ?#]+/?$",
    "an address such as https://s3.example:9000, without login and path",
)
Endpoint: TypeAlias = Annotated[
    str, Field(max_length=2048), _ENDPOINT, AfterValidator(lambda address: address.rstrip("/"))
]
"""The URL of a server, without a slash at its end."""


class WebIdentitySpec(ApiModel):
    """A role that the pods assume with a projected token of their ServiceAccount."""

    role_arn: Annotated[
        str,
        matching(
            r"^[!-~]+$", "an ARN such as arn:aws:iam::111122223333:role/uploads, without spaces"
        ),
    ] = Field(min_length=1, max_length=2048, description="ARN of the role.")
    audience: Annotated[str, matching(r"^[!-~]+$", "a text without spaces")] = Field(
        default=AWS_AUDIENCE,
        min_length=1,
        max_length=255,
        description="Audience of the token, which the token service expects.",
    )
    sts_endpoint: Endpoint | None = Field(
        default=None,
        description="URL of the token service (STS); default: `endpoint`, as in MinIO and Ceph, and"
        " without it AWS STS of the region.",
    )


class ObjectStoreSpec(ApiModel):
    """The S3 bucket that stores the uploads."""

    endpoint: Endpoint | None = Field(
        default=None,
        description="URL of the S3 server, e.g. https://s3.example; without it AWS S3 is used.",
    )
    region: Annotated[str, matching(r"^[a-z0-9-]+$", "lower-case letters, digits and hyphens")] = (
        Field(
            default="us-east-1",
            min_length=1,
            max_length=64,
            description="Region for which requests are signed.",
        )
    )
    bucket: Annotated[
        str,
        matching(
            r"^[a-z0-9][a-z0-9.-]*[a-z0-9]$",
            "lower-case letters, digits, dots and hyphens, beginning and ending with a letter"
            " or digit",
        ),
        Rule("self == oldSelf", "the bucket cannot be changed: create another HealthIngest"),
        Rule(
            "!self.contains('..')",
            "a bucket name must not have two adjacent dots",
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
        description="Name of the bucket, which is created if it does not exist. Immutable.",
    )
    credentials_secret_ref: StoreSecretRef | None = Field(
        default=None,
        description="Secret with `accessKeyId` and `secretAccessKey` for the service; without it,"
        " the pods use the identity of their ServiceAccount.",
    )
    web_identity: WebIdentitySpec | None = None
    admin_secret_ref: StoreSecretRef | None = Field(
        default=None,
        description="Secret with the same keys for the operator, which configures the bucket;"
        " default: `credentialsSecretRef`, without it the identity of its pod.",
    )
    reader_secret_ref: StoreSecretRef | None = Field(
        default=None,
        description="Secret with the same keys of a user that may only read, for consumers; it is"
        " copied into Secret `<name>-consumer`.",
    )
    tls: TlsSpec | None = Field(default=None, description="Overrides `spec.tls`.")
    versioning: Requirement = Field(
        default=Requirement.IF_SUPPORTED,
        description="Whether the bucket must have object versioning.",
    )
    public_access_block: Requirement = Field(
        default=Requirement.IF_SUPPORTED,
        description="Whether the bucket must block public access.",
    )
    encryption: EncryptionSpec = EncryptionSpec()
    abort_incomplete_uploads_after_days: int = Field(
        default=1,
        ge=0,
        le=365,
        description="Days after which the store deletes incomplete multipart uploads; 0: never.",
    )
    object_lock: ObjectLockSpec | None = Field(
        default=None,
        description="Default retention of the bucket, which must be created with object lock. An"
        " erasure waits until the lock of each version has ended.",
    )
    noncurrent_version_days: Int32 | None = Field(
        default=None,
        ge=0,
        le=36500,
        description="Days after which the store deletes a version that was overwritten or deleted;"
        " 0: never. Default: 30, and with `objectLock` at least its days.",
    )
    deletion_policy: DeletionPolicy = Field(
        default=DeletionPolicy.RETAIN,
        description="Whether the bucket is deleted with the HealthIngest. A bucket with objects is"
        " always kept.",
    )

    rules: ClassVar = (
        Rule(
            "!has(self.webIdentity) || !has(self.credentialsSecretRef)",
            "webIdentity is not permitted with credentialsSecretRef",
            lambda self: self.web_identity is None or self.credentials_secret_ref is None,
        ),
        Rule(
            "!has(self.objectLock) || self.versioning != 'Disabled'",
            "objectLock needs versioning",
            lambda self: self.object_lock is None or self.versioning is not Requirement.DISABLED,
        ),
        Rule(
            "!has(self.objectLock) || !has(self.noncurrentVersionDays)"
            " || self.noncurrentVersionDays == 0\n"
            "|| self.noncurrentVersionDays >= self.objectLock.days",
            "noncurrentVersionDays must not be less than objectLock.days: a locked version cannot"
            " be deleted earlier",
            lambda self: (
                self.object_lock is None
                or not self.noncurrent_version_days
                or self.noncurrent_version_days >= self.object_lock.days
            ),
        ),
    )

    @property
    def noncurrent_days(self) -> int:
        """Days after which a noncurrent version is deleted, with the default; 0: never."""
        if self.noncurrent_version_days is not None:
            return self.noncurrent_version_days
        return max(DEFAULT_NONCURRENT_DAYS, self.object_lock.days if self.object_lock else 0)


class QueueSpec(ApiModel):
    """A quorum queue with its dead-letter queue."""

    name: Annotated[str, _BROKER_NAME] = Field(
        min_length=1,
        max_length=120,
        description="Name of the queue; its dead-letter queue is named `<name>.dead`.",
    )
    bindings: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=255)], ...], Distinct()
    ] = Field(
        default=(ALL_UPLOADS_BINDING,),
        min_length=1,
        max_length=32,
        description="Patterns of the routing keys that the queue receives (topic exchange).",
    )
    delivery_limit: int = Field(
        default=20,
        ge=1,
        le=1_000_000,
        description="Number of deliveries after which a message is dead-lettered.",
    )
    max_length_bytes: Int64 = Field(
        default=4 * 2**30,
        ge=2**20,
        le=2**40,
        description="Maximum bytes of messages in the queue; at the limit, new messages wait in the"
        " service's outbox.",
    )


def _none_is_a_dead_letter_queue(queues: tuple[QueueSpec, ...]) -> bool:
    names = {queue.name for queue in queues}
    return not names & {f"{name}.dead" for name in names}


class BrokerSpec(ApiModel):
    """The RabbitMQ broker to which uploads are announced."""

    admin_secret_ref: BrokerSecretRef | None = Field(
        default=None,
        description="Secret with `managementUrl`, `amqpUrl` (scheme, host and port), `username` and"
        " `password` of an administrator.",
    )
    user_secret_ref: BrokerUserSecretRef | None = Field(
        default=None,
        description="Instead of it: Secret with `amqpUrl`, `username` and `password` of the user"
        " that publishes. The virtual host must exist.",
    )
    management_port: Int32 | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="Port of the management API, if the Secret names host and port of AMQP but no"
        " `managementUrl`; default: 15672, with TLS 15671.",
    )
    tls: ClientTlsSpec | None = Field(
        default=None, description="Overrides `spec.tls`, for AMQP and the management API."
    )
    virtual_host: Annotated[str, _BROKER_NAME] = Field(
        min_length=1,
        max_length=110,
        description="Virtual host, which is created if it does not exist. Immutable. Default:"
        " namespace.name.",
        json_schema_extra={OPTIONAL: True},
    )
    exchange: Annotated[
        str,
        _BROKER_NAME,
        Rule("self == oldSelf", "the exchange cannot be changed: create another HealthIngest"),
    ] = Field(
        default=DEFAULT_EXCHANGE,
        min_length=1,
        max_length=120,
        description="Topic exchange, which is created if it does not exist. Immutable.",
    )
    queues: Annotated[
        tuple[QueueSpec, ...],
        Distinct("name"),
        Rule(
            "self.all(q, !self.exists(o, o.name == q.name + '.dead'))",
            "a queue must not have the name of another queue's dead-letter queue",
            _none_is_a_dead_letter_queue,
        ),
    ] = Field(
        default=(
            QueueSpec(name="processing"),
            QueueSpec(name=ERASURES_QUEUE, bindings=(ALL_ERASURES_BINDING,)),
        ),
        max_length=32,
        description="Queues for consumers; a list replaces the default one, which has a queue for"
        " uploads and a queue for erasures.",
    )
    deletion_policy: DeletionPolicy = Field(
        default=DeletionPolicy.RETAIN,
        description="Whether the virtual host is deleted with the HealthIngest. A virtual host with"
        " messages is always kept.",
    )

    rules: ClassVar = (
        Rule(
            "has(self.virtualHost) == has(oldSelf.virtualHost)"
            " && (!has(self.virtualHost) || self.virtualHost == oldSelf.virtualHost)",
            "the virtual host cannot be changed: create another HealthIngest",
        ),
        Rule(
            "has(self.adminSecretRef) != has(self.userSecretRef)",
            "broker needs either adminSecretRef or userSecretRef",
            lambda self: (self.admin_secret_ref is None) != (self.user_secret_ref is None),
        ),
        Rule(
            "!has(self.userSecretRef) || self.deletionPolicy != 'Delete'",
            "deletionPolicy Delete needs adminSecretRef",
            lambda self: (
                self.user_secret_ref is None or self.deletion_policy is not DeletionPolicy.DELETE
            ),
        ),
    )


class DatabaseSpec(ApiModel):
    """The PostgreSQL database for accounts, uploads and the outbox."""

    secret_ref: DatabaseSecretRef = Field(
        description="Secret with `url` of an existing database, or with `adminUrl` of a server, on"
        " which the operator creates role and database."
    )
    tls: ClientTlsSpec | None = Field(default=None, description="Overrides `spec.tls`.")


class CacheSpec(ApiModel):
    """The Redis server for rate limits; without it each pod counts requests separately."""

    secret_ref: CacheSecretRef = Field(description="Secret with `url` of the Redis server.")
    tls: TlsSpec | None = Field(default=None, description="Overrides `spec.tls`.")


class GroupRoleSpec(ApiModel):
    """The roles in a study that a group gives to its users."""

    group: str = Field(min_length=1, max_length=255, description="Group in the claim.")
    study: Annotated[
        str,
        matching(r"^[a-z0-9-]+$", "lower-case letters, digits and hyphens"),
        Rule("self != 'default'", "the study default has no members", lambda one: one != "default"),
    ] = Field(
        min_length=1, max_length=40, description="Study; it is ignored while it does not exist."
    )
    roles: Annotated[tuple[Literal["uploader", "reader", "manager"], ...], Distinct()] = Field(
        min_length=1, max_length=3, description="Roles of the user in the study."
    )


ScopeName = Annotated[
    str,
    matching(r"^[!#-\[\]-~]+$", "visible ASCII characters without quotes"),
    Field(min_length=1, max_length=255),
]
"""A scope by RFC 6749, 3.3."""


class SignInSpec(ApiModel):
    """Sign-in of users by authorization code and PKCE, for a web page."""

    display_name: str | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="Name of the provider on a button; by default its host.",
    )
    client_id: str = Field(
        min_length=1, max_length=255, description="Id of the client that is registered there."
    )
    client_secret_ref: OidcClientSecretRef | None = Field(
        default=None,
        description="Secret with `clientSecret`; without it, the client is public.",
    )
    redirect_uris: Annotated[
        tuple[
            Annotated[
                str,
                matching(
                    r"^https://[^/@\t\n\f\r ?#]+(/[^@\t\n\f\r #]*)?$",
                    "an address such as https://app.example/signed-in, without login and fragment",
                ),
                Field(max_length=512),
            ],
            ...,
        ],
        Distinct(),
    ] = Field(
        min_length=1,
        max_length=10,
        description="Addresses to which the provider may redirect, compared exactly. Each belongs"
        " to one provider.",
    )
    scopes: Annotated[tuple[ScopeName, ...], Distinct()] = Field(
        default=(),
        max_length=19,
        description="Scopes that the page requests beside openid; some providers need one for"
        " groups.",
    )


class OidcIssuerSpec(ApiModel):
    """An identity provider."""

    url: Annotated[
        str,
        matching(
            r"^https://[^/@\t\n\f\r ?#]+(/[^@\t\n\f\r ?#]*)?$",
            "an address such as https://login.example/realms/research, without login and query",
        ),
    ] = Field(
        max_length=2048,
        description="URL of the provider, equal to the claim iss of its tokens. The discovery"
        " document below it names the keys.",
    )
    audience: str = Field(
        min_length=1,
        max_length=255,
        description="Text in the claim aud of the tokens that are meant for this API.",
    )
    groups_claim: str = Field(
        default="groups",
        min_length=1,
        max_length=255,
        description="Claim with the groups of the caller.",
    )
    required_groups: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=255)], ...], Distinct()
    ] = Field(
        default=(),
        max_length=100,
        description="Groups of which a caller needs one; without any, every caller with a valid"
        " token is admitted.",
    )
    required_scopes: Annotated[tuple[ScopeName, ...], Distinct()] = Field(
        default=(),
        max_length=20,
        description="Scopes that an access token needs, all of them, in its claim scope or scp;"
        " a sign-in needs none.",
    )
    group_roles: tuple[GroupRoleSpec, ...] = Field(
        default=(),
        max_length=200,
        description="Roles in studies that come and go with the groups in the newest token of a"
        " user; roles that a manager gives stay.",
    )
    sign_in: SignInSpec | None = None


class OidcSpec(ApiModel):
    """Identity providers (OpenID Connect) whose tokens the API accepts."""

    issuers: Annotated[tuple[OidcIssuerSpec, ...], Distinct("url")] = Field(
        min_length=1, max_length=10, description="The identity providers."
    )
    tls: TlsSpec | None = None

    rules: ClassVar = (
        Rule(
            "self.issuers.all(a, !has(a.signIn) || a.signIn.redirectUris.all(uri,"
            " self.issuers.exists_one(b, has(b.signIn) && uri in b.signIn.redirectUris)))",
            "a redirect URI must belong to one issuer",
            lambda self: _each_once(
                uri for one in self.issuers if one.sign_in for uri in one.sign_in.redirect_uris
            ),
        ),
    )


class MailSpec(ApiModel):
    """The mail server for links that reset a password or verify an e-mail address."""

    host: Annotated[
        str, matching(r"^[A-Za-z0-9.:-]+$", "a host name or an IP address of the mail server")
    ] = Field(min_length=1, max_length=253, description="Host of the mail server (SMTP).")
    port: Int32 = Field(default=587, ge=1, le=65535, description="Port of the mail server.")
    encryption: Literal["STARTTLS", "Implicit", "None"] = Field(
        default="STARTTLS",
        description="How the connection is encrypted: STARTTLS (usually port 587), Implicit: from"
        " its beginning (port 465), or None.",
    )
    sender: Annotated[str, matching(r"^[^@\s]+@[^@\s]+$", "an e-mail address")] = Field(
        min_length=3, max_length=320, description="E-mail address of the sender."
    )
    public_url: Endpoint = Field(
        description="Base URL of the links in mails, e.g. https://ingest.example."
    )
    secret_ref: MailSecretRef | None = Field(
        default=None,
        description="Secret with `username` and `password` at the mail server; without it, no"
        " login.",
    )
    tls: TlsSpec | None = Field(default=None, description="Overrides `spec.tls`.")

    rules: ClassVar = (
        Rule(
            "!has(self.secretRef) || self.encryption != 'None'",
            "secretRef needs encryption STARTTLS or Implicit",
            lambda self: self.secret_ref is None or self.encryption != "None",
        ),
    )


class AccountsSpec(ApiModel):
    """How accounts are created, whose tokens are accepted, and how owners get mails."""

    registration: Literal["Closed", "Open", "VerifiedOnly"] = Field(
        default="Closed",
        description="Whether clients may register accounts themselves; VerifiedOnly: an account"
        " cannot log in until it is verified.",
    )
    oidc: OidcSpec | None = None
    mail: MailSpec | None = Field(
        default=None,
        description="The mail server; without it no mails are sent, and only an administrator"
        " verifies accounts.",
    )


class DocumentationSpec(ApiModel):
    """Which documentation the API serves without authentication."""

    openapi: bool = Field(default=False, description="Whether /openapi.json is served.")
    page: bool = Field(
        default=False, description="Whether the page /docs is served, and /openapi.json with it."
    )

    @property
    def serves_openapi(self) -> bool:
        """Whether `/openapi.json` is served, because it is wanted or because the page needs it."""
        return self.openapi or self.page


class LimitsSpec(ApiModel):
    """Limits for each client."""

    max_file_size: Annotated[
        str,
        matching(r"^[1-9][0-9]*(Ki|Mi|Gi|k|M|G)?$", "a number of bytes such as 50Mi"),
        Rule(
            "quantity(self).compareTo(quantity('5Gi')) <= 0",
            "maxFileSize must not exceed 5Gi, the S3 limit for a single request",
            lambda size: bytes_in(size) <= S3_LARGEST_PUT_BYTES,
        ),
    ] = Field(default="50Mi", max_length=16, description="Maximum file size in bytes, e.g. 50Mi.")
    uploads: Rate = Field(
        default="10/minute", description="Maximum rate of uploads of one principal."
    )
    requests: Rate = Field(
        default="100/hour", description="Maximum rate of other requests of one principal."
    )

    @property
    def max_file_size_bytes(self) -> int:
        """`max_file_size` as a number."""
        return bytes_in(self.max_file_size)


class SchemasSpec(ApiModel):
    """Avro schemas that uploads may have."""

    mode: Literal["Allowed", "Any"] = Field(
        default="Any", description="Allowed: only schemas of the ConfigMap; Any: every schema."
    )
    config_map_ref: ConfigMapRef | None = Field(
        default=None, description="ConfigMap with Avro schemas; each key is a file name (.avsc)."
    )

    rules: ClassVar = (
        Rule(
            "self.mode != 'Allowed' || has(self.configMapRef)",
            "mode Allowed requires configMapRef",
            lambda self: self.mode != "Allowed" or self.config_map_ref is not None,
        ),
    )


_HOST: Final = matching(
    rf"^(\*\.)?{_HOST_LABEL}(\.{_HOST_LABEL})*$", "a lower-case host name such as ingest.example"
)
_DURATION: Final = matching(
    r"^([0-9]{1,5}(h|m|s|ms)){1,4}$", "a duration of the Gateway API such as 20m or 90s"
)


class IngressHostSpec(ApiModel):
    """A further host of the Ingress."""

    host: Annotated[str, _HOST] = Field(
        min_length=1, max_length=253, description="Host name of the Ingress rule."
    )
    tls_secret_name: ObjectName | None = Field(
        default=None, description="Secret with the TLS certificate of this host."
    )


class ParentRefSpec(ApiModel):
    """A reference to a Gateway."""

    name: ObjectName = Field(description="Name of the Gateway.")
    namespace: ObjectName | None = Field(
        default=None, description="Namespace of the Gateway; default: that of the HealthIngest."
    )
    section_name: ObjectName | None = Field(
        default=None, description="Name of a listener; default: all listeners."
    )
    port: Int32 | None = Field(
        default=None, ge=1, le=65535, description="Port of a listener; default: all ports."
    )


class HttpRouteTimeoutsSpec(ApiModel):
    """Timeouts of requests through the Gateway."""

    request: Annotated[str, Field(max_length=24), _DURATION] = Field(
        default="20m", description="Longest time of a request; 0s: no limit."
    )
    backend_request: Annotated[str, Field(max_length=24), _DURATION] | None = Field(
        default=None, description="Longest time of a request to a pod; at most `request`."
    )


class HttpRouteSpec(ApiModel):
    """An HTTPRoute of the Gateway API for the API."""

    parent_refs: tuple[ParentRefSpec, ...] = Field(
        min_length=1, max_length=16, description="Gateways that the route attaches to."
    )
    hostnames: tuple[Annotated[str, Field(min_length=1, max_length=253), _HOST], ...] = Field(
        default=(),
        max_length=16,
        description="Host names of the route; the first one is in `status.url`.",
    )
    scheme: Literal["http", "https"] = Field(
        default="https", description="Scheme that clients use, for `status.url`."
    )
    timeouts: HttpRouteTimeoutsSpec = HttpRouteTimeoutsSpec()
    annotations: StringMap = Field(default={}, description="Annotations of the HTTPRoute.")


class IngressSpec(ApiModel):
    """An Ingress for the API."""

    class_name: ObjectName | None = Field(
        default=None, description="Ingress class; default: the default class of the cluster."
    )
    host: Annotated[str, _HOST] = Field(
        min_length=1, max_length=253, description="Host name of the Ingress rule."
    )
    tls_secret_name: ObjectName | None = Field(
        default=None, description="Secret with the TLS certificate; without it HTTP is used."
    )
    additional_hosts: Annotated[tuple[IngressHostSpec, ...], Distinct("host")] = Field(
        default=(), max_length=32, description="Further hosts, each with its own certificate."
    )
    annotations: StringMap = Field(
        default={}, description="Annotations of the Ingress, e.g. `cert-manager.io/cluster-issuer`."
    )


class SeLinuxSpec(ApiModel):
    """SELinux options, as in a pod."""

    level: str = Field(min_length=1, max_length=253, description="SELinux level.")


class SecurityContextSpec(ApiModel):
    """Ids of the processes in all containers; they take precedence over `podSecurityContext`."""

    run_as_user: Int64 | None = Field(
        default=None, ge=1, le=_UID_MAX, description="User id of the processes; not 0."
    )
    run_as_group: Int64 | None = Field(
        default=None, ge=0, le=_UID_MAX, description="Group id of the processes."
    )
    se_linux_options: SeLinuxSpec | None = None


class PodSecurityContextSpec(SecurityContextSpec):
    """Ids of the pods, default 10001; if this is set, an id without value is the platform's."""

    fs_group: Int64 | None = Field(
        default=None, ge=0, le=_UID_MAX, description="Group id of the volumes."
    )
    fs_group_change_policy: Literal["Always", "OnRootMismatch"] | None = Field(
        default=None, description="When the group of a volume is changed."
    )


class ServiceAccountSpec(ApiModel):
    """The ServiceAccount of the pods, which has no rights in the cluster."""

    name: ObjectName | None = Field(
        default=None,
        description="Name of an existing ServiceAccount; default: the operator creates one with the"
        " name of the HealthIngest.",
    )
    annotations: StringMap = Field(
        default={}, description="Annotations of the ServiceAccount that the operator creates."
    )

    rules: ClassVar = (
        Rule(
            "!has(self.name) || !has(self.annotations) || size(self.annotations) == 0",
            "annotations are not permitted with the name of an existing ServiceAccount",
            lambda self: self.name is None or not self.annotations,
        ),
    )


class ServiceSpec(ApiModel):
    """The Service of the API."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = Field(
        default="ClusterIP", description="Type of the Service."
    )
    annotations: StringMap = Field(default={}, description="Annotations of the Service.")
    labels: LabelMap = Field(default={}, description="Further labels of the Service.")
    ip_family_policy: Literal["SingleStack", "PreferDualStack", "RequireDualStack"] | None = Field(
        default=None, description="IP families; default: the first family of the cluster."
    )


class ProxySpec(ApiModel):
    """A forward proxy for connections to the object store, as variables of the pods."""

    http_proxy: Annotated[str, Field(max_length=2048), _ADDRESS] | None = Field(
        default=None, description="Proxy for http addresses, variable HTTP_PROXY."
    )
    https_proxy: Annotated[str, Field(max_length=2048), _ADDRESS] | None = Field(
        default=None, description="Proxy for https addresses, variable HTTPS_PROXY."
    )
    no_proxy: tuple[Annotated[str, Field(min_length=1, max_length=253)], ...] = Field(
        default=("localhost", "127.0.0.1", "::1", ".svc", ".cluster.local"),
        max_length=64,
        description="Hosts and domains that are reached without proxy, variable NO_PROXY.",
    )


class TracingSpec(ApiModel):
    """Traces by OpenTelemetry, from the request to the message."""

    endpoint: Annotated[str, Field(max_length=2048), _ADDRESS] = Field(
        description="Base URL of a collector that accepts OTLP over HTTP, such as"
        " http://collector.observability.svc:4318."
    )
    sample_percent: int = Field(
        default=100, ge=0, le=100, description="Share of the traces that are recorded."
    )


class SpoolSpec(ApiModel):
    """The volume of an API pod for files that are being received."""

    size: (
        Annotated[str, matching(r"^[1-9][0-9]*(Ki|Mi|Gi|k|M|G)?$", "a number of bytes such as 1Gi")]
        | None
    ) = Field(
        default=None,
        max_length=16,
        description="Size of the volume in bytes, e.g. 1Gi; uploads use three quarters of it."
        " Default: 16 files of the maximum size, at least 512Mi.",
    )
    medium: Literal["Disk", "Memory"] = Field(
        default="Disk",
        description="Medium of the volume. Memory counts towards the memory limit of the API's"
        " container.",
    )
    storage_class_name: ObjectName | None = Field(
        default=None,
        description="Storage class of an ephemeral PersistentVolumeClaim for each pod; default: an"
        " emptyDir on the node.",
    )

    rules: ClassVar = (
        Rule(
            "self.medium != 'Memory' || !has(self.storageClassName)",
            "storageClassName is not permitted with medium Memory",
            lambda self: self.medium != "Memory" or self.storage_class_name is None,
        ),
    )


class RelaySpec(ApiModel):
    """The relay, which announces uploads on the broker."""

    resources: Annotated[
        PodPart,
        PodField(resources_of("relay's", "requests 25m CPU, 128Mi; limits 1 CPU, 256Mi")),
    ] = Field(default={})


class JanitorSpec(ApiModel):
    """The janitor, which removes what is no longer needed and checks the consistency."""

    resources: Annotated[
        PodPart,
        PodField(resources_of("janitor's", "requests 25m CPU, 128Mi; limits 1 CPU, 256Mi")),
    ] = Field(default={})


class MigrationSpec(ApiModel):
    """The Job that migrates the database."""

    resources: Annotated[
        PodPart,
        PodField(resources_of("migration's", "requests 50m CPU, 128Mi; limits 1 CPU, 256Mi")),
    ] = Field(default={})


class HealthIngestSpec(ApiModel):
    """The desired state of a HealthIngest."""

    image: str | None = Field(
        default=None,
        min_length=1,
        max_length=512,
        description="Container image of the service; default: the image of the operator's release.",
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        default="IfNotPresent", description="Pull policy, as in a pod."
    )
    image_pull_secrets: tuple[ImagePullSecret, ...] = Field(
        default=(), max_length=16, description="Registry Secrets for pulling the image."
    )
    replicas: int = Field(
        default=2,
        ge=0,
        le=1000,
        description="Number of API pods; ignored while `autoscaling` is set.",
    )
    autoscaling: AutoscalingSpec | None = None
    object_store: ObjectStoreSpec
    broker: BrokerSpec
    database: DatabaseSpec
    cache: CacheSpec | None = None
    tls: TlsSpec | None = Field(
        default=None, description="TLS of the connections to all dependencies."
    )
    accounts: AccountsSpec = AccountsSpec()
    documentation: DocumentationSpec = DocumentationSpec()
    limits: LimitsSpec = LimitsSpec()
    schemas: SchemasSpec = SchemasSpec()
    settings: ServiceSettings = Field(
        default={},
        description="Further settings of the service by variable name, such as"
        " `HEALTHINGEST_LIMITS__LOGINS`; docs/reference/settings.md lists them.",
    )
    ingress: IngressSpec | None = None
    http_route: HttpRouteSpec | None = None
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
        description="Networks (CIDR) of proxies whose X-Forwarded-For header is trusted.",
    )
    resources: Annotated[
        PodPart,
        PodField(resources_of("API's", "requests 100m CPU, 256Mi; limits 2 CPUs, 768Mi")),
    ] = Field(default={})
    relay: RelaySpec = RelaySpec()
    janitor: JanitorSpec = JanitorSpec()
    migration: MigrationSpec = MigrationSpec()
    spool: SpoolSpec = SpoolSpec()
    node_selector: StringMap = Field(
        default={}, description="Labels that a node must have to run the pods."
    )
    tolerations: tuple[Annotated[PodPart, PodField(TOLERATION)], ...] = Field(
        default=(), max_length=64, description="Tolerations of the pods."
    )
    affinity: Annotated[PodPart, PodField(AFFINITY)] = Field(default={})
    topology_spread_constraints: tuple[
        Annotated[PodPart, PodField(TOPOLOGY_SPREAD_CONSTRAINT)], ...
    ] = Field(
        default=(),
        max_length=16,
        description="Topology spread constraints of the API pods, as in a pod; default: spread over"
        " nodes where possible.",
    )
    pod_annotations: StringMap = Field(
        default={}, description="Annotations of all pods, that of the migration Job included."
    )
    pod_labels: LabelMap = Field(
        default={},
        description="Further labels of all pods, that of the migration Job included; labels of the"
        " operator take precedence.",
    )
    priority_class_name: ObjectName | None = Field(
        default=None, description="Priority class of the pods."
    )
    runtime_class_name: ObjectName | None = Field(
        default=None, description="Runtime class of the pods."
    )
    pod_security_context: PodSecurityContextSpec | None = None
    security_context: SecurityContextSpec | None = None
    service_account: ServiceAccountSpec = ServiceAccountSpec()
    service: ServiceSpec = ServiceSpec()
    proxy: ProxySpec | None = None
    tracing: TracingSpec | None = None
    extra_env: Annotated[
        tuple[Annotated[PodPart, PodField(ENV_VAR)], ...],
        Rule(
            "self.all(e, !e.name.startsWith('HEALTHINGEST_'))",
            "a setting of the service belongs into spec.settings, not into extraEnv",
            lambda entries: (
                not any(str(entry.get("name", "")).startswith("HEALTHINGEST_") for entry in entries)
            ),
        ),
    ] = Field(
        default=(),
        max_length=64,
        description="Further environment variables of all containers, as in a pod.",
    )
    host_aliases: tuple[Annotated[PodPart, PodField(HOST_ALIAS)], ...] = Field(
        default=(), max_length=64, description="Entries of /etc/hosts of the pods, as in a pod."
    )
    termination_grace_period_seconds: int = Field(
        default=60,
        ge=30,
        le=3600,
        description="Grace period of the API pods. Requests in progress have 20 seconds less.",
    )
    paused: bool = Field(
        default=False,
        description="While true, the operator changes nothing; a deletion is still carried out.",
    )

    rules: ClassVar = (
        Rule(
            "!has(self.spool) || !has(self.spool.size)\n"
            "|| quantity(self.spool.size).compareTo(quantity(self.limits.maxFileSize)"
            ".add(quantity(self.limits.maxFileSize))) >= 0",
            "spool.size must be at least twice limits.maxFileSize",
            lambda self: (
                self.spool.size is None
                or bytes_in(self.spool.size) >= 2 * self.limits.max_file_size_bytes
            ),
        ),
    )


class Condition(ApiModel):
    """A condition, as in the Kubernetes API conventions."""

    type: str = Field(max_length=316, description="Type of the condition.")
    status: Literal["True", "False", "Unknown"] = Field(description="Status of the condition.")
    reason: str = Field(
        max_length=1024, description="Reason for the status; see docs/reference/runbook.md."
    )
    message: str = Field(max_length=32768, description="Details, for people.")
    observed_generation: Int64 | None = Field(
        default=None, ge=0, description="Generation for which the condition was observed."
    )
    last_transition_time: str = Field(
        description="Time of the last change of the status.",
        json_schema_extra={"format": "date-time"},
    )


class SecretsStatus(ApiModel):
    """Secrets that the operator creates."""

    service: str | None = Field(
        default=None, description="Name of the Secret for the service's pods."
    )
    consumer: str | None = Field(
        default=None, description="Name of the Secret for consumers of the queues."
    )
    erasure_key: str | None = Field(
        default=None,
        description="Name of the Secret with the erasure key, which is kept after a deletion.",
    )


class ObjectStoreStatus(ApiModel):
    """The object store in use, and the result of its probe."""

    probed: str | None = Field(
        default=None, description="Fingerprint of the settings for which the store was probed."
    )
    reader_checked: str | None = Field(
        default=None, description="Fingerprint of the consumers' keys that were checked."
    )
    place: str | None = Field(
        default=None,
        description="Host and bucket in use; a change must be confirmed.",
    )
    installation: str | None = Field(
        default=None, description="Identity of the bucket, which is stored in one of its tags."
    )
    missing_capabilities: Annotated[tuple[str, ...], Distinct()] = Field(
        default=(), max_length=32, description="Features that the object store lacks."
    )


class DatabaseStatus(ApiModel):
    """The database in use."""

    installation: str | None = Field(
        default=None,
        description="Identity of the database, which is stored in it; another identity must be"
        " confirmed.",
    )


class HealthIngestStatus(ApiModel):
    """The observed state, written by the operator."""

    observed_generation: Int64 | None = Field(
        default=None,
        ge=-1,
        description="Generation that was last reconciled; -1 before the first reconciliation.",
    )
    conditions: Annotated[tuple[Condition, ...], Distinct("type")] = Field(
        default=(), max_length=32, description="Conditions of the HealthIngest and of its parts."
    )
    url: str | None = Field(default=None, description="URL to which clients send uploads.")
    replicas: Int32 | None = Field(default=None, description="Current number of API pods.")
    selector: str | None = Field(default=None, description="Label selector of the API pods.")
    workload: str | None = Field(
        default=None, description="Fingerprint of the workload that was last rolled out."
    )
    secrets: SecretsStatus | None = None
    erasure_key_fingerprint: str | None = Field(
        default=None,
        description="Fingerprint of the erasure key; another key must be confirmed.",
    )
    object_store: ObjectStoreStatus | None = None
    database: DatabaseStatus | None = None
    left_behind: tuple[str, ...] = Field(
        default=(),
        max_length=32,
        description="Queues that the spec no longer names, kept on the broker because they have"
        " messages.",
    )


STATUS_BEFORE_FIRST_RECONCILE: Final = HealthIngestStatus(observed_generation=-1)
"""
The API server's default for the status.

Without a status `helm --wait` and Flux would consider the resource ready.
"""
