"""
Values that each field of `spec` accepts and refuses.

They follow from types, ranges, lengths and choices in the committed CustomResourceDefinition, so a
new field has its cases after `make crds`. `PATTERNS` and `RULES` add the cases that a schema cannot
give.
"""

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from healthingest_contract.service_settings import (
    LOCAL_ONLY,
    SECRETS,
    SETTABLE,
    WRITTEN_BY_OPERATOR,
)

CRD = Path(__file__).parents[2] / "crds" / "healthingests.healthingest.dev.yaml"
POD_FIELDS = (
    "affinity",
    "extraEnv",
    "hostAliases",
    "resources",
    "tolerations",
    "topologySpreadConstraints",
)
"""Fields that are passed on to pods; only the API server checks them."""

Cases = tuple[list[Any], list[Any]]
"""Accepted values, refused values."""

_RATE = (
    ["1/second", "999999999/day", "10/minute", "5/hour"],
    ["0/hour", "1/week", "1 /hour", "1000000000/day", "10", 10],
)
_LOCK = {"mode": "Governance", "days": 40}
_HOST = (
    ["a.example", "*.a.example", "1.example"],
    ["A", "a..b", "-a", "a-", "*", "a.*", "a_b"],
)
_DURATION = (["0s", "20m", "1h30m", "99999ms"], ["", "20", "1.5s", "100000s", "20 m", "-1s"])
_PROXY = (
    ["http://proxy.example:3128", "https://10.0.0.1/"],
    ["proxy.example:3128", "ftp://a", "http://user:word@a", "http://a/b"],
)
_BROKER_NAME = (["a", "A.b_c-9"], [".a", "a b", "ä", "a/b", "a\n"])

PATTERNS: dict[str, Cases] = {
    "image": (["registry.example:5000/a@sha256:0"], []),
    "objectStore.endpoint": (
        ["http://a", "https://a.example:9000/", "http://[::1]:1", "http://a\u2003b"],
        ["", "a", "ftp://a", "http://u:p@a", "http://a/b", "http://a?b", "http://a b", "HTTP://a"],
    ),
    "objectStore.webIdentity.roleArn": (["arn:aws:iam::1:role/a", "role"], ["", "a b", "ä"]),
    "objectStore.webIdentity.audience": (["sts.amazonaws.com", "https://a.example"], ["a b"]),
    "objectStore.webIdentity.stsEndpoint": (
        ["http://a", "https://sts.example:9000/"],
        ["", "a", "ftp://a", "http://u:p@a", "http://a/b"],
    ),
    "objectStore.region": (["eu-central-1"], ["EU", "a_b"]),
    "objectStore.bucket": (["a.b-c", "1.2.3"], ["Abc", "-abc", "abc-", "a_b", ".abc"]),
    "broker.virtualHost": _BROKER_NAME,
    "broker.exchange": _BROKER_NAME,
    "broker.queues[].name": _BROKER_NAME,
    "limits.maxFileSize": (
        ["1", "50Mi", "5Gi", "5G"],
        ["0", "05", "1.5Gi", "1Ti", "-1", "", 50],
    ),
    "spool.size": (["100Mi", "1G", "104857600"], ["99Mi", "0", "1.5Gi", "1Ti", "-1", 1024]),
    "proxy.httpProxy": _PROXY,
    "proxy.httpsProxy": _PROXY,
    "tracing.endpoint": _PROXY,
    "accounts.oidc.issuers[].url": (
        ["https://login.example:8443/realms/a", "https://10.0.0.1/"],
        ["http://login.example", "https://u:p@a", "https://a?b", "https://a/#b", "login.example"],
    ),
    "accounts.oidc.issuers[].groupRoles[].study": (
        ["sleep", "a-1", "a" * 40],
        ["", "A", "a_b", "a" * 41, "default"],
    ),
    "accounts.oidc.issuers[].signIn.redirectUris[]": (
        ["https://app.example", "https://app.example:8443/a?b=c"],
        ["http://app.example", "https://u:p@a", "https://a/#b", "app.example"],
    ),
    "accounts.oidc.issuers[].signIn.scopes[]": (["openid"], ["", "a b", 'a"', "ä"]),
    "accounts.oidc.issuers[].requiredScopes[]": (["ingest"], ["", "a b", 'a"', "ä"]),
    "accounts.mail.host": (["smtp.example", "10.0.0.1", "fd00::1"], ["", "a b", "a/b", "u@a"]),
    "accounts.mail.sender": (["a@b", "in.gest@clinic.example"], ["a", "a b@c", "a@b@c", "@b"]),
    "accounts.mail.publicUrl": (
        ["https://ingest.example", "http://a:8000/"],
        ["", "a", "ftp://a", "https://u:p@a", "https://a/b"],
    ),
    "limits.uploads": _RATE,
    "limits.requests": _RATE,
    "ingress.host": _HOST,
    "ingress.additionalHosts[].host": _HOST,
    "httpRoute.hostnames[]": _HOST,
    "httpRoute.timeouts.request": _DURATION,
    "httpRoute.timeouts.backendRequest": _DURATION,
    "settings": (
        [
            {"HEALTHINGEST_LIMITS__LOGINS": "1/second"},
            dict.fromkeys(SETTABLE, "1"),
            {"HEALTHINGEST_GATE__WORKERS": "b" * 1024},
        ],
        [
            {name: "1"}
            for names in (WRITTEN_BY_OPERATOR, SECRETS, LOCAL_ONLY, ("PATH", ""))
            for name in names
        ]
        + [
            {"HEALTHINGEST_GATE__WORKERS": 4},
            {"HEALTHINGEST_GATE__WORKERS": "b" * 1025},
            {"HEALTHINGEST_GATE__WORKERS": "1", "HEALTHINGEST_GATE__WORKER": "1"},
        ],
    ),
    "trustedProxies[]": (["10.0.0.0/8", "::/0", "fd00::/8"], ["10.0.0.0", "a.example/8", "1/"]),
}
_BUNDLE = {"configMapKeyRef": {"name": "ca"}}
_BUNDLE_CASES: Cases = (
    [_BUNDLE, {"secretKeyRef": {"name": "ca", "key": "a"}}],
    [{}, {**_BUNDLE, "secretKeyRef": {"name": "ca"}}, {"configMapKeyRef": {}}],
)
_CLIENT = {"clientCertificateSecretRef": {"name": "client"}}
_CLIENT_CASES: Cases = ([{"caBundle": _BUNDLE}, _CLIENT, {"caBundle": _BUNDLE, **_CLIENT}], [{}])
_ADMIN = {"adminSecretRef": {"name": "rabbitmq"}}
_USER = {"userSecretRef": {"name": "relay"}}
_MAIL = {"host": "a", "sender": "a@b", "publicUrl": "https://a"}
_LOGIN = {"secretRef": {"name": "login"}}


def _signing_in(url: str, redirect_uri: str = "https://a") -> dict[str, Any]:
    client = {"clientId": "page", "redirectUris": [redirect_uri]}
    return {"url": url, "audience": "b", "signIn": client}


RULES: dict[str, Cases] = {
    "accounts.oidc.issuers": (
        [],
        [[{"url": "https://a", "audience": "b"}, {"url": "https://a", "audience": "c"}]],
    ),
    "accounts.oidc": (
        [{"issuers": [_signing_in("https://a"), _signing_in("https://b", "https://c")]}],
        [{"issuers": [_signing_in("https://a"), _signing_in("https://b", "https://a")]}],
    ),
    "accounts.oidc.issuers[].signIn.scopes": ([["email", "groups"]], [["email", "email"]]),
    "accounts.oidc.issuers[].requiredScopes": ([["ingest", "read"]], [["ingest", "ingest"]]),
    "accounts.oidc.tls": ([{"caBundle": _BUNDLE}], [{}]),
    "accounts.oidc.tls.caBundle": _BUNDLE_CASES,
    "accounts.mail": (
        [_MAIL, {**_MAIL, "encryption": "None"}, {**_MAIL, **_LOGIN, "encryption": "Implicit"}],
        [{}, {**_MAIL, **_LOGIN, "encryption": "None"}],
    ),
    "tls": ([{"caBundle": _BUNDLE}], [{}]),
    "tls.caBundle": _BUNDLE_CASES,
    "broker": (
        [
            {"virtualHost": "clinic", **_ADMIN, "deletionPolicy": "Delete"},
            {"virtualHost": "clinic", **_USER},
        ],
        [
            {"virtualHost": "clinic"},
            {"virtualHost": "clinic", **_ADMIN, **_USER},
            {"virtualHost": "clinic", **_USER, "deletionPolicy": "Delete"},
        ],
    ),
    "broker.tls": _CLIENT_CASES,
    "broker.tls.caBundle": _BUNDLE_CASES,
    "database.tls": _CLIENT_CASES,
    "autoscaling": ([{"minReplicas": 3, "maxReplicas": 3}], [{"minReplicas": 3, "maxReplicas": 2}]),
    "objectStore.bucket": ([], ["a..b", "10.0.0.1"]),
    "objectStore": (
        [
            {"bucket": "abc", "objectLock": _LOCK},
            {"bucket": "abc", "objectLock": _LOCK, "noncurrentVersionDays": 40},
            {"bucket": "abc", "objectLock": _LOCK, "noncurrentVersionDays": 0},
        ],
        [
            {"bucket": "abc", "objectLock": _LOCK, "noncurrentVersionDays": 39},
            {"bucket": "abc", "objectLock": _LOCK, "versioning": "Disabled"},
        ],
    ),
    "objectStore.encryption": (
        [{"mode": "SSE-KMS", "keyId": "k"}, {}],
        [{"mode": "None", "keyId": "k"}, {"mode": "SSE-KMS"}],
    ),
    "broker.queues": (
        [[{"name": "a"}, {"name": "b"}], [{"name": "a.dead"}]],
        [[{}], [{"name": "a"}, {"name": "a"}], [{"name": "a"}, {"name": "a.dead"}]],
    ),
    "broker.queues[].bindings": ([["a.#"], ["a", "b"]], [["a", "a"]]),
    "limits.maxFileSize": (["5368709120"], ["5368709121", "6Gi"]),
    "spool": (
        [{"medium": "Memory"}, {"medium": "Disk", "storageClassName": "fast"}],
        [{"medium": "Memory", "storageClassName": "fast"}],
    ),
    "serviceAccount": (
        [{"name": "a"}, {"annotations": {"a": "b"}}, {"name": "a", "annotations": {}}],
        [{"name": "a", "annotations": {"a": "b"}}],
    ),
    "schemas": (
        [{"mode": "Allowed", "configMapRef": {"name": "a"}}, {}],
        [{"mode": "Allowed"}, {"configMapRef": {}}],
    ),
}
REFUSED_ALONE = (
    ("objectStore.encryption.mode", "SSE-KMS"),
    ("objectStore.encryption.keyId", "a"),
    ("objectStore.encryption.keyId", "a" * 2048),
    ("schemas.mode", "Allowed"),
)
"""Values in range that a rule allows only with another field."""

FIXED_KEYS = ("settings",)
"""Maps whose keys are names of a list: `PATTERNS` has all of their cases."""

_ISSUER: dict[str, Any] = {"url": "https://login.example", "audience": "healthingest"}
# Without these a part that is named alone would be incomplete.
COMPLETE: dict[str, dict[str, Any]] = {
    "autoscaling": {"minReplicas": 1, "maxReplicas": 1000},
    "ingress": {"host": "a.example"},
    "additionalHosts": {"host": "b.example"},
    "tracing": {"endpoint": "http://collector:4318"},
    "httpRoute": {"parentRefs": [{"name": "a"}]},
    "parentRefs": {"name": "a"},
    "queues": {"name": "processing"},
    "cache": {"secretRef": {"name": "redis"}},
    "mail": {
        "host": "smtp.example",
        "sender": "ingest@clinic.example",
        "publicUrl": "https://ingest.example",
    },
    "secretRef": {"name": "login"},
    "adminSecretRef": {"name": "admin"},
    "userSecretRef": {"name": "relay"},
    "readerSecretRef": {"name": "reader"},
    "oidc": {"issuers": [_ISSUER]},
    "issuers": _ISSUER,
    "groupRoles": {"group": "sleep-team", "study": "sleep", "roles": ["reader"]},
    "signIn": {"clientId": "page", "redirectUris": ["https://app.example"]},
    "clientSecretRef": {"name": "client"},
    "webIdentity": {"roleArn": "arn:aws:iam::111122223333:role/uploads"},
    "objectLock": {"mode": "Compliance", "days": 1},
    "configMapKeyRef": {"name": "ca"},
    "secretKeyRef": {"name": "ca"},
}


EXCLUDES: dict[str, str] = {"webIdentity": "credentialsSecretRef"}
"""Fields that a rule does not permit beside another one."""


def spec_schema() -> dict[str, Any]:
    """Return the schema of `spec` in the committed CustomResourceDefinition."""
    version = yaml.safe_load(CRD.read_text(encoding="utf-8"))["spec"]["versions"][0]
    found: dict[str, Any] = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return found


def all_cases() -> dict[str, Cases]:
    """Return the cases of each field, by path."""
    found: dict[str, Cases] = {}
    for path, schema in _fields(spec_schema(), ""):
        good, bad = ([], []) if path in FIXED_KEYS else _from_schema(schema)
        for more in (PATTERNS, RULES):
            good += more.get(path, ([], []))[0]
            bad += more.get(path, ([], []))[1]
        alone = [value for place, value in REFUSED_ALONE if place == path]
        found[path] = ([value for value in good if value not in alone], [*bad, *alone])
    return found


def with_field(spec: dict[str, Any], path: str, value: object) -> None:
    """Set a field, create the objects on its path, and remove the alternative to it."""
    value = copy.deepcopy(value)
    if path.startswith("broker.userSecretRef") and isinstance(spec.get("broker"), dict):
        spec["broker"].pop("adminSecretRef", None)
    *parents, last = path.replace("[]", ".[]").split(".")
    place: Any = spec
    for number, name in enumerate(parents):
        if isinstance(place, dict):
            place.pop(EXCLUDES.get(name, ""), None)
        following = [*parents, last][number + 1]
        if name == "[]":
            place = place[0]
        elif following == "[]":
            if not isinstance(place.get(name), list) or not place[name]:
                place[name] = [copy.deepcopy(COMPLETE.get(name, {}))]
            place = place[name]
        else:
            if not isinstance(place.get(name), dict):
                place[name] = copy.deepcopy(COMPLETE.get(name, {}))
            place = place[name]
    if isinstance(place, dict):
        place.pop(EXCLUDES.get(last, ""), None)
    if last == "[]":
        place[0] = value
    else:
        place[last] = value


def _fields(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, part in schema.get("properties", {}).items():
        if name in POD_FIELDS:
            continue
        field = f"{path}{name}"
        yield field, part
        yield from _fields(part, f"{field}.")
        items = part.get("items")
        if items and "properties" in items:
            yield from _fields(items, f"{field}[].")
        elif items:
            yield f"{field}[]", items


def _from_schema(schema: dict[str, Any]) -> Cases:
    """Return the cases of the schema: both ends of each range, and one value beyond each."""
    if "enum" in schema:
        return list(schema["enum"]), ["other", "", schema["enum"][0].swapcase(), True, 1]
    if schema["type"] == "object" and "properties" in schema:
        return [], ["a", 1, []]
    makers = {
        "integer": _integers,
        "boolean": lambda _: ([True, False], ["true", 1]),
        "string": _strings,
        "array": _lists,
        "object": _maps,
    }
    return makers[schema["type"]](schema)


def _integers(schema: dict[str, Any]) -> Cases:
    least = schema["minimum"]
    most = schema["maximum"]
    return [least, most], [least - 1, most + 1, str(least), 1.5, True]


def _text(schema: dict[str, Any], length: int) -> list[str]:
    """Return a text of *length* that matches the pattern, or None."""
    texts = (
        "a" * length,
        "http://" + "a" * (length - 7),
        "https://" + "a" * (length - 8),
        "1" * (length - 2) + "/1",
    )
    pattern = schema.get("pattern", "")
    found = [text for text in texts if len(text) == length and re.search(pattern, text)]
    return found[:1]


def _strings(schema: dict[str, Any]) -> Cases:
    least = schema.get("minLength", 0)
    most = schema["maxLength"]
    beyond = _text(schema, least - 1) if least else []
    return [*_text(schema, least), *_text(schema, most)], [*beyond, *_text(schema, most + 1), 1]


def _lists(schema: dict[str, Any]) -> Cases:
    least = schema.get("minItems", 0)
    most = schema["maxItems"]
    bad: list[Any] = [_items(schema["items"], most + 1), "a", {"a": "b"}]
    if least:
        bad.append(_items(schema["items"], least - 1))
    return [_items(schema["items"], least), _items(schema["items"], most)], bad


def _items(schema: dict[str, Any], count: int) -> list[Any]:
    """Return *count* different entries."""
    if "properties" in schema:
        return [
            {name: _entry(schema["properties"][name], n) for name in schema["required"]}
            for n in range(count)
        ]
    if "enum" in schema or schema.get("pattern", "").startswith("^https:"):
        return [*schema.get("enum", ()), *(_entry(schema, n) for n in range(count))][:count]
    network = "/" in schema.get("pattern", "")
    return [f"10.0.{n}.0/24" if network else f"a{n}" for n in range(count)]


def _entry(schema: dict[str, Any], number: int) -> Any:  # noqa: ANN401 - JSON
    if schema["type"] == "array":
        return _items(schema["items"], 1)
    is_address = schema.get("pattern", "").startswith("^https:")
    return f"https://a{number}" if is_address else f"a{number}"


def _maps(schema: dict[str, Any]) -> Cases:
    most = schema["maxProperties"]
    longest = schema["additionalProperties"]["maxLength"]
    return (
        [{}, {f"a{n}": "b" for n in range(most)}, {"a": "b" * longest}],
        ["a", {"a": 1}, {f"a{n}": "b" for n in range(most + 1)}, {"a": "b" * (longest + 1)}],
    )
