"""
The groups of settings, one per concern.

The docstring of a field says what it means, also when it is unset; its name ends with the unit.
`make settings` generates the reference from the docstrings.
"""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import NoDecode

from avrogate import Policy
from healthingest_contract.topology import DEFAULT_EXCHANGE
from healthingest_service.identity.email_address import InvalidEmailError, normal_email
from healthingest_service.identity.model import Registration
from healthingest_service.identity.throttling import Rate
from healthingest_service.studies.model import DEFAULT_STUDY, SLUG_PATTERN, Role

MIB: Final = 1024 * 1024
AUDIT_RETENTION_DAYS_MIN: Final = 31
"""The database refuses to remove events that are younger than 30 days."""
Port = Annotated[int, Field(ge=0, le=65535)]

BlockBytes = Annotated[int, Field(ge=1, le=2048 * MIB)]
_POLICY: Final = Policy()


def _is_rate(text: str) -> str:
    Rate.parse(text)
    return text


def _is_mail_address(text: str | None) -> str | None:
    if text is not None:
        try:
            normal_email(text)
        except InvalidEmailError:
            message = "must be an e-mail address"
            raise ValueError(message) from None
    return text


def _is_http_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
        message = "must be a URL with http or https, a host, and no user"
        raise ValueError(message)
    return text


_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
HttpUrlText = Annotated[str, AfterValidator(_is_http_url)]
"""A URL such as http://host:4318."""

RateText = Annotated[str, AfterValidator(_is_rate), Field(json_schema_extra={"format": "rate"})]
"""A number per second, minute, hour or day, such as 10/minute."""


class Group(BaseModel):
    """The base of all groups: frozen, and errors do not contain values."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, extra="ignore")


class ServerSettings(Group):
    """Addresses, ports and timeouts of the HTTP servers."""

    host: str | None = None
    """
    Address to bind. Unset: the loopback address for `serve`, every address for the other commands.
    """
    port: Port = 8000
    """Port of the public API."""
    metrics_port: Port = 9000
    """Port of metrics, probes and states of dependencies. It must not be reachable from outside."""
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = ()
    """Networks of proxies, separated by commas, whose `X-Forwarded-For` is used."""
    shutdown_delay_seconds: NonNegativeFloat = 0.0
    """Time after SIGTERM in which the process is not ready but still serves requests."""
    graceful_shutdown_seconds: PositiveInt = 40
    """Longest time that the process waits for running requests at shutdown."""
    max_concurrency: PositiveInt = 500
    """Requests that one process serves at once; further requests get `overloaded`."""
    body_stall_seconds: PositiveFloat = 30.0
    """
    Longest time without a byte of the body; then the request is refused. A download ends if its
    client reads nothing for so long.
    """
    body_min_bytes_per_second: NonNegativeInt = 1024
    """
    Minimum rate of a body, sent or received, in any period of `body_stall_seconds`; 0: any rate.
    """
    body_deadline_seconds: PositiveFloat = 900.0
    """
    Longest time to receive or send a whole body, without the time that the service needs. The
    default allows 50 MiB at 0.5 Mbit/s.
    """
    health_interval_seconds: PositiveFloat = 3.0
    """Interval of the checks of dependencies for `/health/ready`."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Lowest level of logged events."""

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return (
            [part.strip() for part in value.split(",") if part.strip()]
            if isinstance(value, str)
            else value
        )


class HttpSettings(Group):
    """Limits of connections and request heads, on the public port and the metrics port."""

    max_connections: PositiveInt = 1000
    """
    Open connections. The process accepts at most half as many as its limit of file descriptors
    (`ulimit -n`).
    """
    max_connections_per_address: PositiveInt = 100
    """
    Open connections of one address (IPv6: of one /64), which the devices of a clinic may share.
    Connections of `trusted_proxies` count in `max_connections` only.
    """
    max_head_bytes: Annotated[int, Field(ge=1024, le=MIB)] = 32 * 1024
    """Size of request line and header fields together."""
    max_header_fields: Annotated[int, Field(ge=10, le=10_000)] = 100
    """Number of header fields of a request."""
    max_url_bytes: Annotated[int, Field(ge=256, le=MIB)] = 8 * 1024
    """Length of the URL."""
    max_trailer_bytes: Annotated[int, Field(ge=0, le=MIB)] = 8 * 1024
    """Size of the trailer fields after a chunked body, which are ignored."""
    head_seconds: PositiveFloat = 15.0
    """
    Longest time to receive a request head, from the opening of the connection or the first byte of
    the next request.
    """
    keep_alive_seconds: PositiveInt = 75
    """
    Time after which an idle connection is closed. It must be longer than the timeout of the ingress
    controller (60 s), which would otherwise send requests on closed connections.
    """
    linger_seconds: PositiveFloat = 2.0
    """Time in which the server still reads after an early response, to prevent a TCP reset."""
    ui: bool = True
    """Whether the page `/ui` is served, for people who upload and manage with a browser."""
    docs: bool | None = None
    """Whether `/docs` is served, which needs `openapi`. Unset: only without `secrets_dir`."""
    openapi: bool | None = None
    """Whether `/openapi.json` is served. Unset: the value of `docs`."""


class SpoolSettings(Group):
    """The spool: request bodies on local disk while they are received."""

    folder: Path | None = None
    """Folder of the spool. Unset: a folder in the data folder."""
    max_bytes: PositiveInt | None = None
    """Size of the spool. Unset: `files` times `limits.max_file_size_bytes`."""
    files: PositiveInt = 8
    """Files of maximum size that fit into the spool, if `max_bytes` is unset."""


class DatabaseSettings(Group):
    """The database of uploads, messages and accounts."""

    url: SecretStr | None = None
    """Address of the database, `postgresql://…`. Unset: SQLite in the data folder."""
    ca_file: Path | None = None
    """
    PEM file with the certificate authorities of the database. Unset: the public ones. If it is set,
    an address without `sslmode` means `verify-full`.
    """
    client_certificate_file: Path | None = None
    """PEM file with the client's certificate, and with `client_key_file`, for mutual TLS."""
    client_key_file: Path | None = None
    """PEM file with the unencrypted key of `client_certificate_file`."""
    pool_size: PositiveInt = 10
    """Maximum number of connections of one process."""
    timeout_seconds: PositiveFloat = 5.0
    """Deadline of a transaction."""
    migrate_timeout_seconds: PositiveFloat = 300.0
    """Deadline of a migration."""


class StoreSettings(Group):
    """The object store of the uploaded files."""

    bucket: str | None = None
    """Bucket of the files. Unset: a folder in the data folder."""
    endpoint: str | None = None
    """Address of the S3 server. Unset: AWS."""
    ca_file: Path | None = None
    """PEM file with the certificate authorities of the S3 server. Unset: the public ones."""
    region: str = "us-east-1"
    """Region in the signature of requests."""
    access_key_id: SecretStr | None = None
    """
    Access key id. Unset together with the secret key: temporary keys of the pod's identity
    (`AWS_ROLE_ARN` and `AWS_WEB_IDENTITY_TOKEN_FILE`, or `AWS_CONTAINER_CREDENTIALS_FULL_URI`),
    outside a pod also the other sources of botocore.
    """
    secret_access_key: SecretStr | None = None
    """Secret key of `access_key_id`."""
    encryption: Literal["None", "SSE-S3", "SSE-KMS"] = "None"
    """Server-side encryption of the objects."""
    kms_key_id: str | None = None
    """Id of the key for `SSE-KMS`."""
    object_lock_mode: Literal["None", "Governance", "Compliance"] = "None"
    """Mode of the bucket's default retention, which delays erasures."""
    object_lock_days: NonNegativeInt = 0
    """Days for which the bucket locks a new object version; without effect with mode `None`."""
    timeout_seconds: PositiveFloat = 30.0
    """Deadline of one request with its body, also of each part of a multipart upload."""
    resumable_part_bytes: Annotated[int, Field(ge=64 * 1024, le=1024 * MIB)] = 8 * MIB
    """
    Bytes of a resumable upload after which a part is stored. A process that ends loses at most as
    many bytes of each.
    """
    part_bytes: Annotated[int, Field(ge=5 * MIB, le=5 * 1024 * MIB)] = 64 * MIB
    """
    Size of the parts of a multipart upload, which is used for larger files. S3 requires at least
    5 MiB. The default exceeds the default of `limits.max_file_size_bytes`, since parts cost more to
    hash.
    """

    @property
    def lock_days(self) -> int:
        """Days for which the bucket locks a new object version; 0: it locks none."""
        return 0 if self.object_lock_mode == "None" else self.object_lock_days


class BrokerSettings(Group):
    """The broker to which uploads are announced."""

    url: SecretStr | None = None
    """Address of the broker, `amqp://…` or `amqps://…`. Unset: a queue file in the data folder."""
    endpoint: str | None = None
    """`host:port` of the broker for the health check of the API, which has no credential for it."""
    ca_file: Path | None = None
    """PEM file with the certificate authorities of the broker. Unset: the public ones."""
    client_certificate_file: Path | None = None
    """PEM file with the client's certificate, and with `client_key_file`, for mutual TLS."""
    client_key_file: Path | None = None
    """PEM file with the unencrypted key of `client_certificate_file`."""
    exchange: str = DEFAULT_EXCHANGE
    """Topic exchange of the messages."""
    timeout_seconds: PositiveFloat = 10.0
    """Deadline of connecting and publishing."""


class CacheSettings(Group):
    """Redis with the counters of rate limits, which all processes share."""

    url: SecretStr | None = None
    """Address of Redis, `redis://…` or `rediss://…`. Unset: each process counts alone."""
    ca_file: Path | None = None
    """PEM file with the certificate authorities of Redis. Unset: the public ones."""
    timeout_seconds: Annotated[float, Field(gt=0, le=0.1)] = 0.1
    """Longest time that a request waits for Redis."""
    pause_seconds: PositiveFloat = 5.0
    """Time after a failure in which each process counts alone, without calling Redis."""


class IdentitySettings(Group):
    """Registration, tokens and password hashing."""

    registration: Registration = Registration.OPEN
    """Registration policy. `VerifiedOnly`: accounts without a verified address cannot log in."""
    signing_keys: SecretStr | None = None
    """
    Concatenated Ed25519 private keys in PEM: the first signs, all verify. Unset: a generated key
    in the data folder.
    """
    erasure_key: SecretStr | None = None
    """
    Key of the hashes by which erased files are recognised: 32 random bytes in URL-safe Base64. It
    never changes. Unset: a generated key in the data folder.
    """
    issuer: str = "healthingest"
    """The claim `iss` of access tokens."""
    audience: str = "healthingest"
    """The claim `aud` of access tokens."""
    access_token_seconds: Annotated[int, Field(ge=30, le=3600)] = 600
    """Lifetime of an access token."""
    refresh_token_days: PositiveInt = 30
    """Lifetime of a refresh token: a session that is not used for so long ends."""
    session_days: Annotated[int, Field(ge=1, le=3650)] = 90
    """
    Longest session from its login on, however often it is refreshed. Then the owner of the account
    logs in again.
    """
    page_session_seconds: Annotated[int, Field(ge=300, le=31_536_000)] = 43_200
    """
    Longest session of a password login on the page `/ui`. `oidc.session_seconds` limits the others.
    """
    password_threads: PositiveInt = 1
    """Threads that hash passwords."""
    password_queue: PositiveInt = 16
    """Passwords that wait or are hashed at once; further logins get 503."""


def _is_issuer(text: str) -> str:
    parts = urlsplit(_is_http_url(text))
    if parts.query or parts.fragment:
        message = "must have no query and no fragment"
        raise ValueError(message)
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        message = "must begin with https"
        raise ValueError(message)
    return text


def _is_redirect_uri(text: str) -> str:
    parts = urlsplit(_is_http_url(text))
    if parts.fragment:
        message = "must have no fragment"
        raise ValueError(message)
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        message = "must begin with https"
        raise ValueError(message)
    return text


_STUDY_PATTERN: Final = "^" + SLUG_PATTERN + "$"


class GroupRoleSettings(Group):
    """The roles in a study that a group of an identity provider gives."""

    group: Annotated[str, Field(min_length=1, max_length=255)]
    study: Annotated[str, Field(pattern=_STUDY_PATTERN)]
    roles: Annotated[frozenset[Role], Field(min_length=1)]

    @field_validator("study")
    @classmethod
    def _is_no_default(cls, value: str) -> str:
        if value == DEFAULT_STUDY:
            message = "the study default has no members"
            raise ValueError(message)
        return value


IssuerUrl = Annotated[str, AfterValidator(_is_issuer), Field(max_length=2048)]
RedirectUri = Annotated[str, AfterValidator(_is_redirect_uri), Field(max_length=2048)]
ScopeText = Annotated[str, Field(pattern=r"^[\x21\x23-\x5b\x5d-\x7e]{1,255}$")]
"""A scope by RFC 6749, 3.3."""


class OidcIssuerSettings(Group):
    """An identity provider; users sign in there if it has a client id and redirect URIs."""

    url: IssuerUrl
    audience: Annotated[str, Field(min_length=1, max_length=255)]
    groups_claim: Annotated[str, Field(min_length=1, max_length=255)] = "groups"
    required_groups: Annotated[tuple[str, ...], Field(max_length=100)] = ()
    required_scopes: Annotated[tuple[ScopeText, ...], Field(max_length=20)] = ()
    group_roles: Annotated[tuple[GroupRoleSettings, ...], Field(max_length=200)] = ()
    name: Annotated[str, Field(max_length=100)] | None = None
    client_id: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    redirect_uris: Annotated[tuple[RedirectUri, ...], Field(max_length=10)] = ()
    scopes: Annotated[tuple[ScopeText, ...], Field(max_length=20)] = ("openid",)

    @field_validator("scopes")
    @classmethod
    def _ask_for_id_tokens(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "openid" not in value:
            message = "must have the scope openid"
            raise ValueError(message)
        return value

    @model_validator(mode="after")
    def _check_client(self) -> Self:
        if (self.client_id is None) != (not self.redirect_uris):
            message = "client_id and redirect_uris go together: set both or none"
            raise ValueError(message)
        return self


_SECRETS: Final = TypeAdapter(dict[str, Annotated[str, Field(min_length=1, max_length=1024)]])


class OidcSettings(Group):
    """Identity providers (OpenID Connect): their access tokens are accepted, and users sign in."""

    issuers: Annotated[tuple[OidcIssuerSettings, ...], Field(max_length=10)] = ()
    """
    A list in JSON of objects with `url` (equal to the claim `iss`), `audience` (in the claim
    `aud`), and optionally `groups_claim` (default `groups`) and `required_groups`: callers without
    one of these groups may do nothing, nor with an access token that lacks one of
    `required_scopes`. `group_roles` is a list of objects with `group`, `study` and
    `roles`: what a user of the group may do there. With `client_id` and `redirect_uris`, users sign
    in there; then `name` is the text of a button (default: the host), and `scopes` are requested
    (default: `openid`). Each redirect URI belongs to one provider.
    """
    client_secrets: SecretStr | None = None
    """
    An object in JSON: the client secret of each provider that has one, by its `url`. A provider
    without one treats this installation as a public client.
    """
    session_seconds: Annotated[int, Field(ge=300, le=31_536_000)] = 43_200
    """
    Longest session of a user who has signed in at a provider. Then the user signs in again, so that
    a user whom the provider no longer knows, or who has lost a group, does not stay.
    """
    ca_file: Path | None = None
    """PEM file with the certificate authorities of the providers. Unset: the public ones."""
    timeout_seconds: PositiveFloat = 5.0
    """Deadline of a request for keys, or to exchange a code."""

    @field_validator("issuers")
    @classmethod
    def _separate(cls, value: tuple[OidcIssuerSettings, ...]) -> tuple[OidcIssuerSettings, ...]:
        """Against mix-up: a redirect URI says from which provider a code is (RFC 9700, 4.4.2.2)."""
        uris = [uri for issuer in value for uri in issuer.redirect_uris]
        if len(set(uris)) != len(uris):
            message = "each redirect URI must be named once, for one provider"
            raise ValueError(message)
        return value

    def secrets_by_url(self) -> dict[str, str]:
        """
        Return the client secret of each provider that has one.

        Raises:
            ValueError: `client_secrets` is no such object; the error contains nothing of it.
        """
        if self.client_secrets is None:
            return {}
        try:
            return _SECRETS.validate_json(self.client_secrets.get_secret_value())
        except ValidationError:
            message = "must be an object in JSON of texts with 1 to 1024 characters"
            raise ValueError(message) from None

    @field_validator("issuers")
    @classmethod
    def _differ(cls, value: tuple[OidcIssuerSettings, ...]) -> tuple[OidcIssuerSettings, ...]:
        if len({issuer.url for issuer in value}) < len(value):
            message = "must not have an issuer twice"
            raise ValueError(message)
        return value


class MailSettings(Group):
    """Mails to the owners of accounts, with links to reset a password or verify an address."""

    smtp_host: str | None = None
    """
    Host of the mail server. Unset: no mails; without `secrets_dir`, files in the folder `mails` of
    the data folder.
    """
    smtp_port: Annotated[int, Field(ge=1, le=65535)] = 587
    """Port of the mail server."""
    smtp_tls: Literal["STARTTLS", "Implicit", "None"] = "STARTTLS"
    """
    How the connection is encrypted: from a plain one (`STARTTLS`, usually port 587), from its
    beginning (`Implicit`, port 465), or not at all. `None` allows no password.
    """
    ca_file: Path | None = None
    """PEM file with the certificate authorities of the mail server. Unset: the public ones."""
    smtp_username: SecretStr | None = None
    """User name at the mail server. Unset together with the password: no login."""
    smtp_password: SecretStr | None = None
    """Password of `smtp_username`."""
    from_address: Annotated[str | None, AfterValidator(_is_mail_address)] = None
    """Sender of the mails. It is required with `smtp_host`."""
    public_url: HttpUrlText | None = None
    """
    Base URL of the links in mails, such as `https://ingest.example`; never the `Host` of a request.
    It is required with `smtp_host`.
    """
    timeout_seconds: Annotated[float, Field(gt=0, le=30)] = 20.0
    """Deadline of sending one mail."""
    interval_seconds: PositiveFloat = 2.0
    """Interval in which the janitor looks for requested mails."""
    reset_token_seconds: Annotated[int, Field(ge=300, le=86_400)] = 1800
    """Lifetime of a link to reset a password."""
    verification_token_seconds: Annotated[int, Field(ge=300, le=604_800)] = 86_400
    """Lifetime of a link to verify an e-mail address."""


class LimitsSettings(Group):
    """Rate limits, and limits of uploads."""

    max_file_size_bytes: PositiveInt = 50 * MIB
    """Maximum size of a file."""
    uploads: RateText = "10/minute"
    """Uploads of an account."""
    uploads_at_once_per_account: PositiveInt = 4
    """
    Uploads of an account that run at once in one process, so that no account fills the spool.
    """
    uploads_at_once_per_address: PositiveInt = 32
    """
    Uploads of an address, which the devices of a clinic may share, that run at once in one process.
    """
    resumable_uploads_per_account: PositiveInt = 1000
    """Resumable uploads of an account that are not finished."""
    resumable_seconds: Annotated[float, Field(ge=60)] = 86_400.0
    """
    Time after the last part in which a resumable upload can go on; then its parts are removed. The
    result of a finished one is known for the same time.
    """
    downloads_at_once: PositiveInt = 32
    """
    Downloads that run at once in one process. Each holds a connection to the object store, of which
    a process has 128.
    """
    downloads_at_once_per_account: PositiveInt = 4
    """Downloads of an account that run at once in one process."""
    requests: RateText = "100/hour"
    """Requests of an account, without its uploads."""
    logins: RateText = "600/hour"
    """
    Logins of an account from one address, successful or not. Exchanges of enrolment codes, and
    sign-ins at identity providers, from one address have the same rate.
    """
    refreshes: RateText = "120/hour"
    """Exchanges of refresh tokens of a session."""
    login_failures_per_device: PositiveInt = 5
    """
    Failed logins of one account from one address without a delay. Then the delay is 1 s, and
    doubles with each failure.
    """
    login_failures_per_account: PositiveInt = 100
    """
    Failed logins of one account from all addresses without a delay. Then unknown devices of the
    account can try one login a second.
    """
    login_failures_per_address: PositiveInt = 100
    """
    Failed logins from one address for all accounts without a delay. Then unknown devices at the
    address can try one login a second.
    """
    login_delay_seconds_max: PositiveFloat = 5.0
    """Longest delay of a login after failures."""
    login_failure_memory_seconds: PositiveInt = 3600
    """Time without another failure after which failures are forgotten."""
    registrations: RateText = "20/hour"
    """Registrations of an address."""
    mails_per_address: RateText = "20/hour"
    """Requests of an address for mails, and uses of the tokens in mails."""
    mails_per_account: RateText = "5/hour"
    """Requests for mails to one e-mail address, whether it has an account or not."""
    outbox_messages: PositiveInt = 100_000
    """Waiting messages above which no upload is accepted."""
    outbox_age_seconds: PositiveFloat = 86_400.0
    """Age of the oldest waiting message above which no upload is accepted."""
    upload_lease_seconds: PositiveFloat = 120.0
    """Lease of a process on an unfinished upload; the janitor settles uploads without a lease."""


class SchemasSettings(Group):
    """The schemas of accepted files."""

    mode: Literal["Any", "Allowed"] = "Any"
    """`Any`: every schema is accepted. `Allowed`: only the schemas in `folder`."""
    folder: Path | None = None
    """
    Folder of the accepted schemas (`*.avsc`, also in subfolders). The files may refer to each
    other.
    """


class GateSettings(Group):
    """The Avro gate: the worker processes that validate files, and the limits of files."""

    workers: PositiveInt = 2
    """
    Worker processes. Each validates many files at once; more workers than processors have no
    benefit.
    """
    memory_limit_bytes: PositiveInt = 256 * MIB
    """Address space of each worker; the memory limit of a pod must allow for all of them."""
    stall_seconds: PositiveFloat = 10.0
    """Longest time for one chunk of a file; then the worker is killed and the file refused."""
    max_header_bytes: Annotated[int, Field(ge=1, le=16 * MIB)] = _POLICY.max_header_bytes
    """
    Size of the header of a file. This and the following settings are the limits of
    `avrogate.Policy`.
    """
    max_metadata_entries: PositiveInt = _POLICY.max_metadata_entries
    """Number of metadata entries of a file."""
    max_schema_bytes: PositiveInt = _POLICY.max_schema_bytes
    """Size of the schema of a file."""
    max_schema_depth: Annotated[int, Field(ge=1, le=100)] = _POLICY.max_schema_depth
    """Depth of nested types in a schema."""
    max_schema_nodes: PositiveInt = _POLICY.max_schema_nodes
    """Number of types in a schema."""
    max_name_characters: Annotated[int, Field(ge=1, le=256)] = _POLICY.max_name_characters
    """Length of a name in a schema."""
    max_decimal_precision: Annotated[int, Field(ge=1, le=10_000)] = _POLICY.max_decimal_precision
    """Precision of a decimal; the time to read a decimal grows with the square of it."""
    max_expansion: PositiveInt = _POLICY.max_expansion
    """Schema nodes that a reader visits for one datum without reading a byte."""
    max_blocks: PositiveInt = _POLICY.max_blocks
    """Number of blocks of a file."""
    max_block_bytes: BlockBytes = _POLICY.max_block_bytes
    """
    Size of a compressed block. Blocks are streamed, so this and the next limit need no memory.
    """
    max_inflated_block_bytes: BlockBytes = _POLICY.max_inflated_block_bytes
    """Size of a decompressed block, which consumers may have to keep in memory."""
    max_inflated_bytes: PositiveInt = _POLICY.max_inflated_bytes
    """Size of all decompressed blocks of a file."""
    max_inflated_per_byte: NonNegativeInt = _POLICY.max_inflated_per_byte
    """Bytes added to `max_inflated_bytes` for each byte of the file."""
    max_window_bytes: Annotated[int, Field(ge=MIB, le=128 * MIB)] = _POLICY.max_window_bytes
    """Window size of zstandard; it needs memory of a worker, within `memory_limit_bytes`."""
    max_xz_memory_bytes: Annotated[int, Field(ge=MIB, le=1024 * MIB)] = _POLICY.max_xz_memory_bytes
    """Memory of the xz decoder in a worker, within `memory_limit_bytes`."""
    max_records: PositiveInt = _POLICY.max_records
    """Number of records of a file."""
    max_empty_records: NonNegativeInt = _POLICY.max_empty_records
    """Number of records that are encoded in zero bytes, such as a record of nulls."""
    max_datum_depth: Annotated[int, Field(ge=1, le=1000)] = _POLICY.max_datum_depth
    """Depth of nested records in one datum."""
    max_steps: PositiveInt = _POLICY.max_steps
    """
    Steps of the validator for a file. 300 million steps take about 1 s; the time must be less than
    `stall_seconds`.
    """
    max_steps_per_byte: NonNegativeInt = _POLICY.max_steps_per_byte
    """Steps added to `max_steps` for each byte of the file."""

    def limits(self) -> dict[str, int]:
        """Return the limits by their names in `avrogate.Policy`."""
        return {
            name: getattr(self, name) for name in type(self).model_fields if name.startswith("max_")
        }


class TracingSettings(Group):
    """Traces by OpenTelemetry, from the request to the message."""

    endpoint: HttpUrlText | None = None
    """
    Base URL of a collector that accepts OTLP over HTTP, such as `http://collector:4318`; spans go
    to `/v1/traces` below it. Unset: no spans. The service then passes on the `traceparent` of a
    client.
    """
    sample_ratio: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of the traces that are recorded, from 0 to 1, decided by the id of the trace."""
    timeout_seconds: PositiveFloat = 5.0
    """Deadline of one request to the collector."""


class RelaySettings(Group):
    """The relay, which publishes the messages of the outbox to the broker."""

    batch_size: PositiveInt = 400
    """Messages that are claimed in the outbox at once."""
    concurrency: PositiveInt = 200
    """
    Messages of one batch that wait for their confirm at once. The broker flushes many of them to
    its disk together.
    """
    claim_seconds: PositiveFloat = 60.0
    """Time after which another relay may claim the messages of a relay that has ended."""
    idle_seconds: PositiveFloat = 0.5
    """Longest time between two reads of an empty outbox."""
    stalled_seconds: PositiveFloat = 30.0
    """
    Time after which a relay is not ready, if the broker does not answer or confirms no message.
    """
    backoff_seconds_min: PositiveFloat = 1.0
    """First delay after a failed attempt to publish."""
    backoff_seconds_max: PositiveFloat = 60.0
    """Longest delay after failed attempts to publish."""


class JanitorSettings(Group):
    """The janitor, which settles unfinished uploads and runs the consistency check."""

    interval_seconds: PositiveFloat = 30.0
    """Interval of the search for unfinished uploads of ended processes."""
    consistency_interval_seconds: PositiveFloat = 86_400.0
    """Interval of the consistency check, which compares all objects with the database."""
    verify_shares: PositiveInt = 30
    """
    Number of checks in which every object is read and hashed once. Each check reads one of so many
    objects.
    """
    verify_bytes_per_second: PositiveInt = 16 * MIB
    """Maximum rate of these reads."""
    idempotency_key_days: Annotated[int, Field(ge=1, le=36_500)] = 30
    """
    Age at which an `Idempotency-Key` is removed, and may be used for other bytes. The same bytes
    still get their first receipt.
    """


class AuditLogSettings(Group):
    """The audit log."""

    retention_days: Annotated[int, Field(ge=AUDIT_RETENTION_DAYS_MIN, le=36_500)] | None = None
    """
    Age at which the janitor removes events from the database, with the salts of e-mail addresses
    and the anchors of that time; the chain of the others stays verifiable. Unset: they are kept for
    ever.
    """
    refusals_per_minute: PositiveInt = 600
    """
    Refused requests that a process records in a minute: so many of accounts, and so many of
    anonymous clients. Further ones are counted in a metric only.
    """
