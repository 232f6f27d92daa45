"""
The operator's own Secrets: values are generated once and kept; unusable ones are replaced.

The Secrets are written before an external system gets the values, so that a crash loses nothing.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from healthingest_contract import environment as env
from healthingest_operator.api.healthingest import HealthIngest
from healthingest_operator.api.manifest import Manifest, ManifestView
from healthingest_operator.api.v1alpha1 import HealthIngestSpec
from healthingest_operator.resources.names import (
    consumer_users,
    database,
    database_users,
    metadata,
    relay_users,
)
from healthingest_operator.resources.signing_keys import keys_of, with_second_key

Values = Mapping[str, str]

_PASSWORD: Final = re.compile(r"[A-Za-z0-9_-]{32,}")

FINGERPRINT_KEY: Final = "fingerprintKey"
"""
Key of the value that keys `digest`; no pod mounts it.

The signing keys do not serve for that, because they change at other times.
"""

STORE_KEYS: Final = (env.STORE_ACCESS_KEY_ID, env.STORE_SECRET_ACCESS_KEY)
"""Keys of the object store's static credentials, which pods with an identity lack."""
MAIL_LOGIN: Final = (env.MAIL_SMTP_USERNAME, env.MAIL_SMTP_PASSWORD)
"""Keys of the login at the mail server, which it may lack."""
NEXT_BROKER_PASSWORD: Final = "nextBrokerPassword"  # noqa: S105 - a key's name
NEXT_DATABASE_PASSWORD: Final = "nextDatabasePassword"  # noqa: S105 - a key's name
NEXT_CONSUMER_PASSWORD: Final = "nextConsumerPassword"  # noqa: S105 - a key's name
READER_KEYS: Final = (
    "s3Endpoint",
    "s3Region",
    "s3Bucket",
    "s3AccessKeyId",
    "s3SecretAccessKey",
    "s3CaBundle",
)
"""Keys of the consumers' Secret by which they read the bucket."""
STAGED: Final = (NEXT_BROKER_PASSWORD, NEXT_DATABASE_PASSWORD, NEXT_CONSUMER_PASSWORD)
"""Keys of the passwords for logins that are not in use yet; no pod mounts them."""


@dataclass(frozen=True, slots=True)
class Generators:
    """
    Generators of new secrets.

    `password` returns at least 32 characters of A-Z a-z 0-9 _ -, `signing_key` a PKCS#8 key as PEM,
    and `erasure_key` 32 random bytes in URL-safe Base64.
    """

    password: Callable[[], str]
    signing_key: Callable[[], str]
    erasure_key: Callable[[], str]


@dataclass(frozen=True, slots=True)
class UserSecrets:
    """
    Values of the user's Secrets; None: unreadable now.

    `broker_endpoint` has no credentials. `broker_login` is a user and its password that the service
    uses as they are; None: the operator creates a user.
    """

    store_access_key_id: str | None = None
    store_secret_access_key: str | None = None
    broker_endpoint: str | None = None
    database_url: str | None = None
    database_admin_url: str | None = None
    cache_url: str | None = None
    mail_login: tuple[str, str] | None = field(default=None, repr=False)
    client_secrets: str | None = field(default=None, repr=False)
    """The client secrets at identity providers, in JSON by the URL of the issuer."""
    broker_login: tuple[str, str] | None = field(default=None, repr=False)
    reader: Values | None = field(default=None, repr=False)
    """Values of the consumers' Secret by which they read the bucket."""


def decode(secret: ManifestView | None) -> dict[str, str]:
    """Return the decoded values of a Secret; values that are not UTF-8 are left out."""
    found = {}
    for name, value in ((secret or {}).get("data") or {}).items():
        try:
            found[name] = base64.b64decode(value).decode()
        except ValueError:
            continue
    return found


def secret_object(
    owner: HealthIngest, name: str, values: Values, annotations: Mapping[str, str] | None = None
) -> Manifest:
    """Return a Secret with *values* in `data`, because the server never returns `stringData`."""
    data = {key: base64.b64encode(value.encode()).decode() for key, value in sorted(values.items())}
    described = metadata(owner, name) | {"annotations": dict(annotations or {})}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": described,
        "data": data,
    }


def staged_values(existing: Values, make: Generators) -> dict[str, str]:
    """Return the passwords of the next logins: usable ones of *existing*, else new ones."""
    return {name: _kept(existing.get(name), make.password) for name in STAGED}


def service_values(
    owner: HealthIngest, given: UserSecrets, existing: Values, staged: Values, make: Generators
) -> dict[str, str]:
    """
    Return the values of the service's Secret: from *given*, else *existing*, else generated.

    A value stays as it is while the user's Secret is not readable, because running pods mount it.
    With *staged* passwords each login gets its other user name.
    """
    values = {name: value for name, value in existing.items() if name in env.SECRET_NAMES}
    values[FINGERPRINT_KEY] = _kept(existing.get(FINGERPRINT_KEY), make.password)
    values[env.IDENTITY_SIGNING_KEYS] = _signing_keys(existing, staged, make)
    readable = {
        env.STORE_ACCESS_KEY_ID: given.store_access_key_id,
        env.STORE_SECRET_ACCESS_KEY: given.store_secret_access_key,
        env.BROKER_URL: _broker_url(owner, given, existing, staged, make),
        env.DATABASE_URL: _database_url(owner, given, existing, staged, make),
        env.CACHE_URL: given.cache_url,
        env.OIDC_CLIENT_SECRETS: given.client_secrets,
    }
    if given.mail_login is not None:
        readable |= dict(zip(MAIL_LOGIN, given.mail_login, strict=True))
    values |= {name: value for name, value in readable.items() if value is not None}
    unwanted = _unwanted_names(owner)
    return {name: value for name, value in values.items() if name not in unwanted}


def _unwanted_names(owner: HealthIngest) -> frozenset[str]:
    """Return the values that the spec has given up."""
    keys = STORE_KEYS if owner.spec.object_store.credentials_secret_ref is None else ()
    cache = (env.CACHE_URL,) if owner.spec.cache is None else ()
    mail = () if has_mail_login(owner.spec) else MAIL_LOGIN
    clients = () if has_client_secrets(owner.spec) else (env.OIDC_CLIENT_SECRETS,)
    return frozenset({*keys, *cache, *mail, *clients})


def has_mail_login(spec: HealthIngestSpec) -> bool:
    """Return whether the spec names a Secret with a login at the mail server."""
    return spec.accounts.mail is not None and spec.accounts.mail.secret_ref is not None


def has_client_secrets(spec: HealthIngestSpec) -> bool:
    """Return whether the spec names a Secret with a client secret at an identity provider."""
    oidc = spec.accounts.oidc
    return oidc is not None and any(
        one.sign_in is not None and one.sign_in.client_secret_ref is not None
        for one in oidc.issuers
    )


def _signing_keys(existing: Values, staged: Values, make: Generators) -> str:
    """Return the existing keys, else a new one; with *staged* passwords also a second key."""
    keys = existing.get(env.IDENTITY_SIGNING_KEYS, "")
    usable = keys if keys_of(keys) else make.signing_key()
    return with_second_key(usable, make.signing_key) if staged else usable


def _broker_url(
    owner: HealthIngest, given: UserSecrets, existing: Values, staged: Values, make: Generators
) -> str | None:
    """Return the broker's endpoint with the login of the relay; None: it is not readable."""
    host = owner.spec.broker.virtual_host
    endpoint = given.broker_endpoint
    if endpoint is None:
        return None
    if given.broker_login is not None:
        return _with_login(endpoint, *given.broker_login, host)
    old = user_of(existing.get(env.BROKER_URL)), password_of(existing.get(env.BROKER_URL))
    user, password = _login(relay_users(host), old, staged.get(NEXT_BROKER_PASSWORD), make)
    return _with_login(endpoint, user, password, host)


def _database_url(
    owner: HealthIngest, given: UserSecrets, existing: Values, staged: Values, make: Generators
) -> str | None:
    """
    Return the given address, else that of the administrator with the service's database and login.

    None: neither is readable.
    """
    admin_url = given.database_admin_url
    if given.database_url is not None or admin_url is None:
        return given.database_url
    old = user_of(existing.get(env.DATABASE_URL)), password_of(existing.get(env.DATABASE_URL))
    users = database_users(owner.key)
    user, password = _login(users, old, staged.get(NEXT_DATABASE_PASSWORD), make)
    return _with_login(admin_url, user, password, database(owner.key))


def consumer_values(
    owner: HealthIngest, given: UserSecrets, existing: Values, staged: Values, make: Generators
) -> dict[str, str]:
    """
    Return the values of the consumers' Secret.

    They stay as they are while the user's Secrets are not readable (*given*). With an ordinary
    broker user there is no login, because the operator cannot create a user for consumers.
    """
    is_named = owner.spec.object_store.reader_secret_ref is not None
    kept = reader_part(existing) if is_named else {}
    reader = kept if given.reader is None else given.reader
    return {**_consumer_login(owner, given, existing, staged, make), **reader}


def reader_part(values: Values) -> dict[str, str]:
    """Return the values by which consumers read the bucket."""
    return {name: values[name] for name in READER_KEYS if name in values}


def login_part(values: Values) -> dict[str, str]:
    """Return the values by which consumers reach the broker."""
    return {name: text for name, text in values.items() if name not in READER_KEYS}


def _consumer_login(
    owner: HealthIngest, given: UserSecrets, existing: Values, staged: Values, make: Generators
) -> dict[str, str]:
    if given.broker_endpoint is None or given.broker_login is not None:
        return login_part(existing)
    broker = owner.spec.broker
    old = existing.get("username"), existing.get("password")
    user, password = _login(
        consumer_users(broker.virtual_host), old, staged.get(NEXT_CONSUMER_PASSWORD), make
    )
    return {
        "amqpUrl": given.broker_endpoint,
        "url": _with_login(given.broker_endpoint, user, password, broker.virtual_host),
        "username": user,
        "password": password,
        "virtualHost": broker.virtual_host,
        "queues": ",".join(queue.name for queue in broker.queues),
    }


def confirmed_values(existing: Values, wanted: Values) -> dict[str, str]:
    """
    Return the values that pods may have before the external systems have accepted *wanted*.

    These are the *existing* ones if they are usable, also keys that are no longer wanted. The
    address of the cache needs no confirmation, because the service works without its cache.
    """
    usable = {
        env.DATABASE_URL: password_of(existing.get(env.DATABASE_URL)) is not None,
        env.BROKER_URL: password_of(existing.get(env.BROKER_URL)) is not None,
        env.STORE_ACCESS_KEY_ID: bool(existing.get(env.STORE_ACCESS_KEY_ID)),
        env.STORE_SECRET_ACCESS_KEY: bool(existing.get(env.STORE_SECRET_ACCESS_KEY)),
    }
    kept = {name: existing[name] for name in STORE_KEYS if usable[name]}
    return kept | {
        name: existing[name] if usable.get(name) else value for name, value in wanted.items()
    }


def user_of(url: str | None) -> str | None:
    """Return the user name in an address, unquoted."""
    try:
        found = urlsplit(url).username if url else None
    except ValueError:
        return None
    return unquote(found) if found else None


def password_of(url: str | None) -> str | None:
    """Return the password in an address, unquoted."""
    try:
        found = urlsplit(url).password if url else None
    except ValueError:
        return None
    return unquote(found) if found else None


def digest(values: Values, names: Iterable[str], *beside: object) -> str:
    """
    Return a fingerprint that changes with each of the values.

    It is keyed with a secret, so that a reader of pod annotations cannot test passwords against it.
    """
    chosen = {name: values[name] for name in sorted(names) if name in values}
    text = json.dumps([chosen, *beside], sort_keys=True)
    return hmac.new(values[FINGERPRINT_KEY].encode(), text.encode(), hashlib.sha256).hexdigest()[
        :16
    ]


def _kept(existing: str | None, make: Callable[[], str]) -> str:
    return existing if existing is not None and _PASSWORD.fullmatch(existing) else make()


def _login(
    users: tuple[str, str], old: tuple[str | None, str | None], staged: str | None, make: Generators
) -> tuple[str, str]:
    """
    Return the current user and password.

    With a *staged* password, return the other user, unless it is the current one already.
    """
    user = old[0] if old[0] in users else users[0]
    if staged is None:
        return user, _kept(old[1], make.password)
    return (user if old[1] == staged else users[1 - users.index(user)]), staged


def _with_login(address: str, user: str, password: str, path: str) -> str:
    """Return *address* with this login and path; its query is kept, because it has TLS settings."""
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    query = f"?{parts.query}" if parts.query else ""
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return f"{parts.scheme}://{login}@{host}/{quote(path, safe='')}{query}"
