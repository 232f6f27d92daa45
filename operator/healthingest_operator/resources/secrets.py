"""
Secrets that the operator makes: once, then kept; a missing or unusable value is made anew.

Written before anything outside learns the values, so that a crash in between loses nothing.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from healthingest_contract import environment as env
from healthingest_operator.api.healthingest import HealthIngest
from healthingest_operator.resources.names import (
    consumer_users,
    database,
    database_users,
    metadata,
    relay_users,
)
from healthingest_operator.resources.rotation import Phase, keys_of, with_another

Values = Mapping[str, str]

_PASSWORD: Final = re.compile(r"[A-Za-z0-9_-]{32,}")

FINGERPRINT_KEY: Final = "fingerprintKey"
"""
For `digest`; no pod mounts it.

The signing keys will not do: they change in steps of their own.
"""

NEXT_BROKER_PASSWORD: Final = "nextBrokerPassword"  # noqa: S105 - a key's name
NEXT_DATABASE_PASSWORD: Final = "nextDatabasePassword"  # noqa: S105 - a key's name
NEXT_CONSUMER_PASSWORD: Final = "nextConsumerPassword"  # noqa: S105 - a key's name
STAGED: Final = (NEXT_BROKER_PASSWORD, NEXT_DATABASE_PASSWORD, NEXT_CONSUMER_PASSWORD)
"""Of logins that nobody uses yet; no pod mounts them."""


@dataclass(frozen=True, slots=True)
class Generators:
    """
    Where new secrets come from.

    `password` gives at least 32 of A-Z a-z 0-9 _ -, `signing_key` PKCS#8 in PEM.
    """

    password: Callable[[], str]
    signing_key: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Known:
    """
    What the user's Secrets say; None for what cannot be read now.

    Addresses of the broker bear no credentials.
    """

    store_access_key_id: str | None = None
    store_secret_access_key: str | None = None
    broker_endpoint: str | None = None
    database_url: str | None = None
    database_admin_url: str | None = None
    cache_url: str | None = None


def decode(secret: Mapping[str, Any] | None) -> dict[str, str]:
    """Values of a Secret as the cluster returns it; what is not UTF-8 is left out."""
    found = {}
    for name, value in ((secret or {}).get("data") or {}).items():
        try:
            found[name] = base64.b64decode(value).decode()
        except ValueError:
            continue
    return found


def secret_object(
    owner: HealthIngest, name: str, values: Values, annotations: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """A Secret of *values*; `data` rather than `stringData`, which the server never shows again."""
    data = {key: base64.b64encode(value.encode()).decode() for key, value in sorted(values.items())}
    described = metadata(owner, name) | {"annotations": dict(annotations or {})}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": described,
        "data": data,
    }


def staged_values(existing: Values, phase: Phase, make: Generators) -> dict[str, str]:
    """Passwords of the next logins, while they are being introduced."""
    if phase is not Phase.INTRODUCED:
        return {}
    return {name: _kept(existing.get(name), make.password) for name in STAGED}


def service_values(
    owner: HealthIngest, known: Known, existing: Values, staged: Values, make: Generators
) -> dict[str, str]:
    """
    Values that the service should have: what is known over what exists over what must be made.

    What a user's Secret cannot tell at the moment stays as it was: running pods mount it. With
    *staged* passwords the logins are the other ones of their two.
    """
    values = {name: value for name, value in existing.items() if name in env.SECRET_NAMES}
    values[FINGERPRINT_KEY] = _kept(existing.get(FINGERPRINT_KEY), make.password)
    keys = existing.get(env.IDENTITY_SIGNING_KEYS, "")
    keys = keys if keys_of(keys) else make.signing_key()
    values[env.IDENTITY_SIGNING_KEYS] = with_another(keys, make.signing_key) if staged else keys
    if known.store_access_key_id is not None and known.store_secret_access_key is not None:
        values[env.STORE_ACCESS_KEY_ID] = known.store_access_key_id
        values[env.STORE_SECRET_ACCESS_KEY] = known.store_secret_access_key
    if known.broker_endpoint is not None:
        host = owner.spec.broker.virtual_host
        old = user_of(existing.get(env.BROKER_URL)), password_of(existing.get(env.BROKER_URL))
        user, password = _login(relay_users(host), old, staged.get(NEXT_BROKER_PASSWORD), make)
        values[env.BROKER_URL] = _with_login(known.broker_endpoint, user, password, host)
    if known.database_url is not None:
        values[env.DATABASE_URL] = known.database_url
    elif known.database_admin_url is not None:
        old = user_of(existing.get(env.DATABASE_URL)), password_of(existing.get(env.DATABASE_URL))
        user, password = _login(
            database_users(owner.key), old, staged.get(NEXT_DATABASE_PASSWORD), make
        )
        values[env.DATABASE_URL] = _with_login(
            known.database_admin_url, user, password, database(owner.key)
        )
    if owner.spec.cache is None:
        values.pop(env.CACHE_URL, None)
    elif known.cache_url is not None:
        values[env.CACHE_URL] = known.cache_url
    return values


def consumer_values(
    owner: HealthIngest, known: Known, existing: Values, staged: Values, make: Generators
) -> dict[str, str]:
    """
    Values for those who consume the queues.

    As they were while the broker's Secret cannot be read.
    """
    if known.broker_endpoint is None:
        return dict(existing)
    broker = owner.spec.broker
    old = existing.get("username"), existing.get("password")
    user, password = _login(
        consumer_users(broker.virtual_host), old, staged.get(NEXT_CONSUMER_PASSWORD), make
    )
    return {
        "amqpUrl": known.broker_endpoint,
        "url": _with_login(known.broker_endpoint, user, password, broker.virtual_host),
        "username": user,
        "password": password,
        "virtualHost": broker.virtual_host,
        "queues": ",".join(queue.name for queue in broker.queues),
    }


def held(existing: Values, wanted: Values) -> dict[str, str]:
    """
    What pods may have before the outside has confirmed *wanted*.

    What they have, as far as it can be used at all.

    A cache is not waited for: without it counters are kept in each process.
    """
    usable = {
        env.DATABASE_URL: password_of(existing.get(env.DATABASE_URL)) is not None,
        env.BROKER_URL: password_of(existing.get(env.BROKER_URL)) is not None,
        env.STORE_ACCESS_KEY_ID: bool(existing.get(env.STORE_ACCESS_KEY_ID)),
        env.STORE_SECRET_ACCESS_KEY: bool(existing.get(env.STORE_SECRET_ACCESS_KEY)),
    }
    return {name: existing[name] if usable.get(name) else value for name, value in wanted.items()}


def user_of(url: str | None) -> str | None:
    """The user in an address, unquoted."""
    try:
        found = urlsplit(url).username if url else None
    except ValueError:
        return None
    return unquote(found) if found else None


def password_of(url: str | None) -> str | None:
    """The password in an address, unquoted."""
    try:
        found = urlsplit(url).password if url else None
    except ValueError:
        return None
    return unquote(found) if found else None


def digest(values: Values, names: Iterable[str], *beside: object) -> str:
    """
    A fingerprint that changes when one of the values does.

    Keyed with a secret: who reads a pod's annotations cannot try passwords against it.
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
    User and password.

    Those of now, or with a *staged* password the other user, unless that is the one of now.
    """
    user = old[0] if old[0] in users else users[0]
    if staged is None:
        return user, _kept(old[1], make.password)
    return (user if old[1] == staged else users[1 - users.index(user)]), staged


def _with_login(address: str, user: str, password: str, path: str) -> str:
    """
    *address* with this login and path instead of its own.

    Its query stays (TLS settings stand there).
    """
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    query = f"?{parts.query}" if parts.query else ""
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return f"{parts.scheme}://{login}@{host}/{quote(path, safe='')}{query}"
