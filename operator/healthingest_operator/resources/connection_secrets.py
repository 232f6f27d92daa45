"""
Secrets of other operators, recognised by their keys and translated into this operator's values.

The forms are those of these versions of the sources:

- CloudNativePG `pkg/specs/secrets.go` at 003f8e8: `uri` has `host.namespace`, and `host` is the
  short name of the Service. The superuser's `dbname` is `*` (`internal/controller/
  cluster_create.go` at 016c52a). Earlier versions wrote the short name into `uri`, too.
- RabbitMQ cluster operator `internal/resource/default_user_secret.go` at 06cda8e: `host` is
  `name.namespace.svc`, and `connection_string` has a password without percent-encoding. `port` is
  5671 if the cluster has TLS.

A short host name is the name of a Service in the namespace of the Secret. The operator runs in
another namespace, so it adds the namespace to the name.
"""

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote, urlsplit

Values = Mapping[str, str]

_AMQPS_PORT: Final = "5671"
_ANY_DATABASE: Final = "*"
_MAINTENANCE_DATABASE: Final = "postgres"
_MANAGEMENT_PORTS: Final = {"amqp": 15672, "amqps": 15671}
_MANAGEMENT_SCHEMES: Final = {"amqp": "http", "amqps": "https"}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The namespace of the Secret, and `spec.broker.managementPort`."""

    namespace: str
    management_port: int | None = None


@dataclass(frozen=True, slots=True)
class Translation:
    """Values by this operator's names; `origins` names the keys that each value comes from."""

    values: Values = field(repr=False)
    origins: Values


Translate = Callable[[Values, Surroundings], Translation]


@dataclass(frozen=True, slots=True)
class SecretForm:
    """
    A form of Secrets, recognised by its keys.

    `keys` must exist and not be empty; for an entry `a|b` one of the two is enough. `optional` keys
    are read if they exist. `title` names the programs that write such Secrets.
    """

    title: str
    keys: tuple[str, ...]
    optional: tuple[str, ...]
    translate: Translate

    def matches(self, values: Values) -> bool:
        """Whether *values* have all keys of this form."""
        return all(any(values.get(key) for key in entry.split("|")) for entry in self.keys)

    @property
    def all_keys(self) -> tuple[str, ...]:
        """All keys that are read."""
        return tuple(key for entry in (*self.keys, *self.optional) for key in entry.split("|"))


def recognise(forms: Sequence[SecretForm], values: Values) -> SecretForm | None:
    """Return the first form that *values* match; None: they match none of *forms*."""
    return next((form for form in forms if form.matches(values)), None)


def qualified(host: str, namespace: str) -> str:
    """Return *host* with *namespace* if it is a short name; an address stays as it is."""
    if "." in host or host.startswith("[") or host == "localhost" or _is_address(host):
        return host
    return f"{host}.{namespace}.svc"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _place(host: str, port: str, namespace: str) -> str:
    """Return `host:port`; an IPv6 address gets brackets."""
    name = qualified(host.strip(), namespace)
    return f"[{name}]:{port}" if ":" in name and not name.startswith("[") else f"{name}:{port}"


def _places(hosts: str, ports: str, namespace: str) -> str:
    """Return the `host:port` pairs of libpq's lists; a single port applies to all hosts."""
    names = hosts.split(",")
    numbers = ports.split(",")
    numbers = numbers * len(names) if len(numbers) == 1 else numbers
    if len(numbers) != len(names):
        return ""  # invalid: the caller's error names the keys
    return ",".join(
        _place(name, number.strip(), namespace) for name, number in zip(names, numbers, strict=True)
    )


def _with_qualified_hosts(address: str, namespace: str) -> str:
    """Return *address* with qualified hosts; unchanged if it cannot be parsed."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return address
    login, at, hosts = parts.netloc.rpartition("@")
    found = [_qualified_place(place, namespace) for place in hosts.split(",")]
    return parts._replace(netloc=f"{login}{at}{','.join(found)}").geturl()


def _qualified_place(place: str, namespace: str) -> str:
    if place.startswith("["):
        return place
    host, colon, port = place.partition(":")
    return f"{qualified(host, namespace)}{colon}{port}" if host else place


def _login(user: str, password: str) -> str:
    """Return `user:password@`, percent-encoded; empty if both are empty."""
    if not user and not password:
        return ""
    return f"{quote(user, safe='')}:{quote(password, safe='')}@"


def _object_bucket_claim(values: Values, _: Surroundings) -> Translation:
    names = {"accessKeyId": "AWS_ACCESS_KEY_ID", "secretAccessKey": "AWS_SECRET_ACCESS_KEY"}
    return Translation(
        {name: values[key] for name, key in names.items()},
        {name: f"key {key}" for name, key in names.items()},
    )


def _database_uri(values: Values, around: Surroundings) -> Translation:
    address = _with_qualified_hosts(values["uri"], around.namespace)
    try:
        parts = urlsplit(address)
        is_any = unquote(parts.path) == f"/{_ANY_DATABASE}"
    except ValueError:
        is_any = False
    if is_any:
        address = parts._replace(path=f"/{_MAINTENANCE_DATABASE}").geturl()
    return _database(address, "key uri", is_admin=is_any)


def _database_parts(values: Values, around: Surroundings) -> Translation:
    name = values["dbname"]
    is_any = name == _ANY_DATABASE
    path = quote(_MAINTENANCE_DATABASE if is_any else name, safe="")
    user = values.get("username") or values["user"]
    places = _places(values["host"], values.get("port") or "5432", around.namespace)
    address = f"postgresql://{_login(user, values['password'])}{places}/{path}"
    return _database(address, "one of the keys host and port", is_admin=is_any)


def _database(address: str, origin: str, *, is_admin: bool) -> Translation:
    """Return the address as `adminUrl` if it is a superuser's, else as `url`."""
    name = "adminUrl" if is_admin else "url"
    return Translation({name: address}, {name: origin})


def _broker_parts(values: Values, around: Surroundings) -> Translation:
    port = values.get("port") or "5672"
    scheme = "amqps" if port == _AMQPS_PORT else "amqp"
    amqp = f"{scheme}://{_place(values['host'], port, around.namespace)}"
    return _broker(
        amqp, (values["username"], values["password"]), "one of the keys host and port", around
    )


def _broker_uri(values: Values, around: Surroundings) -> Translation:
    address = _with_qualified_hosts(values["connection_string"], around.namespace)
    origin = "key connection_string"
    try:
        parts = urlsplit(address)
        login = unquote(parts.username or ""), unquote(parts.password or "")
        amqp = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    except ValueError:
        login = ("", "")
        amqp = address
    return _broker(amqp, login, origin, around)


def _broker(amqp: str, login: tuple[str, str], origin: str, around: Surroundings) -> Translation:
    values = {
        "managementUrl": _management(amqp, around.management_port),
        "amqpUrl": amqp,
        "username": login[0],
        "password": login[1],
    }
    origins = dict.fromkeys(values, origin)
    return Translation(values, origins)


def _management(amqp: str, port: int | None) -> str:
    try:
        parts = urlsplit(amqp)
        host = parts.hostname or ""
    except ValueError:
        return amqp
    scheme = parts.scheme if parts.scheme in _MANAGEMENT_PORTS else "amqp"
    name = f"[{host}]" if ":" in host else host
    return f"{_MANAGEMENT_SCHEMES[scheme]}://{name}:{port or _MANAGEMENT_PORTS[scheme]}"


def _cache_uri(values: Values, around: Surroundings) -> Translation:
    address = _with_qualified_hosts(values["uri"], around.namespace)
    return Translation({"url": address}, {"url": "key uri"})


def _cache_parts(values: Values, around: Surroundings) -> Translation:
    login = _login(values.get("username", ""), values["password"])
    place = _place(values["host"], values.get("port") or "6379", around.namespace)
    return Translation(
        {"url": f"redis://{login}{place}/0"}, {"url": "one of the keys host and port"}
    )


STORE_FORMS: Final = (
    SecretForm(
        "ObjectBucketClaim (Rook, NooBaa)",
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        (),
        _object_bucket_claim,
    ),
)
DATABASE_FORMS: Final = (
    SecretForm("CloudNativePG, Crunchy Postgres for Kubernetes", ("uri",), (), _database_uri),
    SecretForm(
        "Service Binding, Amazon RDS",
        ("host", "username|user", "password", "dbname"),
        ("port",),
        _database_parts,
    ),
)
BROKER_FORMS: Final = (
    SecretForm(
        "RabbitMQ cluster operator", ("host", "username", "password"), ("port",), _broker_parts
    ),
    SecretForm("AMQP URL with login", ("connection_string",), (), _broker_uri),
)
CACHE_FORMS: Final = (
    SecretForm("Service Binding", ("uri",), (), _cache_uri),
    SecretForm("Service Binding", ("host", "password"), ("port", "username"), _cache_parts),
)

OTHER_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "accessKeyId": (
        "access-key",
        "access-key-id",
        "accessKey",
        "access_key",
        "access_key_id",
        "aws_access_key_id",
        "root-user",
        "rootUser",
    ),
    "secretAccessKey": (
        "aws_secret_access_key",
        "root-password",
        "rootPassword",
        "secret-access-key",
        "secret-key",
        "secretKey",
        "secret_access_key",
        "secret_key",
    ),
    "managementUrl": ("management-url", "management_url", "MANAGEMENT_URL"),
    "amqpUrl": ("AMQP_URL", "RABBITMQ_URL", "amqp-url", "amqp_url", "uri", "url"),
    "username": ("RABBITMQ_DEFAULT_USER", "RABBITMQ_USERNAME", "rabbitmq-username", "user"),
    "password": ("RABBITMQ_DEFAULT_PASS", "RABBITMQ_PASSWORD", "pass", "rabbitmq-password"),
    "url": (
        "DATABASE_URL",
        "POSTGRES_URL",
        "REDIS_URL",
        "connectionString",
        "connection_string",
        "database_url",
        "dsn",
        "redis-url",
    ),
}
"""
Names that other programs use for the keys of a value.

A message may contain these names, but no other key of a Secret.
"""
