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
from healthingest_operator.model.spec import HealthIngest
from healthingest_operator.resources.names import (
    consumer_secret,
    consumer_user,
    database,
    metadata,
    relay_user,
    service_secret,
)

Values = Mapping[str, str]

_PRIVATE_KEY: Final = re.compile(r"-----BEGIN PRIVATE KEY-----\n[A-Za-z0-9+/=\n]+-----END PRIVATE KEY-----\n?")
_PASSWORD: Final = re.compile(r"[A-Za-z0-9_-]{32,}")


@dataclass(frozen=True, slots=True)
class Generators:
    """Where new secrets come from. `password` gives at least 32 of A-Z a-z 0-9 _ -, `signing_key` PKCS#8 in PEM."""

    password: Callable[[], str]
    signing_key: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Known:
    """What the user's Secrets say; None for what cannot be read now. Addresses of the broker bear no credentials."""

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


def secret_object(owner: HealthIngest, name: str, values: Values) -> dict[str, Any]:
    """A Secret of *values*; `data` rather than `stringData`, which the server never shows again."""
    data = {key: base64.b64encode(value.encode()).decode() for key, value in sorted(values.items())}
    return {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata(owner, name), "data": data}


def service_values(owner: HealthIngest, known: Known, existing: Values, make: Generators) -> dict[str, str]:
    """
    Values for the service: what is known over what exists over what must be made.

    What a user's Secret cannot tell at the moment stays as it was: running pods mount it.
    """
    values = {name: value for name, value in existing.items() if name in env.SECRET_NAMES}
    values[env.IDENTITY_SIGNING_KEYS] = _kept(existing.get(env.IDENTITY_SIGNING_KEYS), _PRIVATE_KEY, make.signing_key)
    if known.store_access_key_id is not None and known.store_secret_access_key is not None:
        values[env.STORE_ACCESS_KEY_ID] = known.store_access_key_id
        values[env.STORE_SECRET_ACCESS_KEY] = known.store_secret_access_key
    if known.broker_endpoint is not None:
        password = _kept(password_of(existing.get(env.BROKER_URL)), _PASSWORD, make.password)
        host = owner.spec.broker.virtual_host
        values[env.BROKER_URL] = _with_login(known.broker_endpoint, relay_user(host), password, host)
    if known.database_url is not None:
        values[env.DATABASE_URL] = known.database_url
    elif known.database_admin_url is not None:
        password = _kept(password_of(existing.get(env.DATABASE_URL)), _PASSWORD, make.password)
        name = database(owner.key)
        values[env.DATABASE_URL] = _with_login(known.database_admin_url, name, password, name)
    if owner.spec.cache_secret is None:
        values.pop(env.CACHE_URL, None)
    elif known.cache_url is not None:
        values[env.CACHE_URL] = known.cache_url
    return values


def consumer_values(owner: HealthIngest, known: Known, existing: Values, make: Generators) -> dict[str, str]:
    """Values for those who consume the queues; as they were while the broker's Secret cannot be read."""
    if known.broker_endpoint is None:
        return dict(existing)
    broker = owner.spec.broker
    user = consumer_user(broker.virtual_host)
    password = _kept(existing.get("password"), _PASSWORD, make.password)
    return {
        "amqpUrl": known.broker_endpoint,
        "url": _with_login(known.broker_endpoint, user, password, broker.virtual_host),
        "username": user,
        "password": password,
        "virtualHost": broker.virtual_host,
        "queues": ",".join(queue.name for queue in broker.queues),
    }


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

    Keyed with the signing key: who reads a pod's annotations cannot try passwords against it.
    """
    chosen = {name: values[name] for name in sorted(names) if name in values}
    text = json.dumps([chosen, *beside], sort_keys=True)
    return hmac.new(values[env.IDENTITY_SIGNING_KEYS].encode(), text.encode(), hashlib.sha256).hexdigest()[:16]


def secret_objects(owner: HealthIngest, service: Values, consumer: Values) -> tuple[dict[str, Any], ...]:
    """Both Secrets; no consumer's one before there are values for it."""
    objects = [secret_object(owner, service_secret(owner.key), service)]
    if consumer:
        objects.append(secret_object(owner, consumer_secret(owner.key), consumer))
    return tuple(objects)


def _kept(existing: str | None, shape: re.Pattern[str], make: Callable[[], str]) -> str:
    return existing if existing is not None and shape.fullmatch(existing) else make()


def _with_login(address: str, user: str, password: str, path: str) -> str:
    """*address* with this login and path instead of its own; its query stays (TLS settings stand there)."""
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{host}/{quote(path, safe='')}{query}"
