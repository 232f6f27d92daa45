"""
Bounds of single fields, as the CustomResourceDefinition has them.

The API server checks them first. They are checked again because a manifest may have been stored
under an older schema; a test holds both to the same verdict. Rules between fields stand in `parse`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_BROKER_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_LABEL: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_RATE: Final = r"[1-9][0-9]{0,8}/(second|minute|hour|day)"
_OBJECT_NAME_CHARACTERS: Final = 253
_TERM_CHARACTERS: Final = 4096


@dataclass(frozen=True, slots=True)
class Text:
    """A text of so many characters, of this form."""

    shortest: int
    longest: int
    form: str = r"(?s:.*)"

    def holds(self, value: object) -> bool:
        """Whether *value* is one."""
        fits = isinstance(value, str) and self.shortest <= len(value) <= self.longest
        return fits and re.fullmatch(self.form, str(value), re.ASCII) is not None


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number."""

    least: int
    most: int

    def holds(self, value: object) -> bool:
        """Whether *value* is one."""
        return (
            isinstance(value, int)
            and not isinstance(value, bool)
            and self.least <= value <= self.most
        )


@dataclass(frozen=True, slots=True)
class Items:
    """A list of so many; with `distinct` no two are equal."""

    fewest: int
    most: int
    distinct: bool = False

    def holds(self, value: object) -> bool:
        """Whether *value* is one."""
        fits = isinstance(value, list) and self.fewest <= len(value) <= self.most
        return fits and not (
            self.distinct and isinstance(value, list) and len({*map(repr, value)}) < len(value)
        )


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of these values."""

    values: tuple[object, ...]

    def holds(self, value: object) -> bool:
        """Whether *value* is one; true is not 1."""
        return any(value == known and type(value) is type(known) for known in self.values)


@dataclass(frozen=True, slots=True)
class Texts:
    """A map of texts."""

    most: int

    def holds(self, value: object) -> bool:
        """Whether *value* is one."""
        fits = isinstance(value, Mapping) and len(value) <= self.most
        return (
            fits
            and isinstance(value, Mapping)
            and all(Text(0, _TERM_CHARACTERS).holds(v) for v in value.values())
        )


_NAME: Final = Text(1, _OBJECT_NAME_CHARACTERS)
_WISH: Final = OneOf(("Required", "IfSupported", "Disabled"))
_POLICY: Final = OneOf(("Retain", "Delete"))

BOUNDS: Final[Mapping[str, Text | Number | Items | OneOf | Texts]] = {
    "image": Text(1, 512),
    "imagePullPolicy": OneOf(("Always", "IfNotPresent", "Never")),
    "imagePullSecrets": Items(0, 16),
    "imagePullSecrets[].name": _NAME,
    "replicas": Number(0, 1000),
    "autoscaling.minReplicas": Number(1, 1000),
    "autoscaling.maxReplicas": Number(1, 1000),
    "autoscaling.targetCPUUtilizationPercentage": Number(1, 1000),
    "objectStore.endpoint": Text(0, 2048, r"https?://[^/@\s?#]+/?"),
    "objectStore.region": Text(1, 64, r"[a-z0-9-]+"),
    "objectStore.bucket": Text(3, 63, r"[a-z0-9][a-z0-9.-]*[a-z0-9]"),
    "objectStore.credentialsSecretRef.name": _NAME,
    "objectStore.adminSecretRef.name": _NAME,
    "objectStore.versioning": _WISH,
    "objectStore.publicAccessBlock": _WISH,
    "objectStore.encryption.mode": OneOf(("None", "SSE-S3", "SSE-KMS")),
    "objectStore.encryption.keyId": Text(1, 2048),
    "objectStore.encryption.policy": OneOf(("Required", "IfSupported")),
    "objectStore.abortIncompleteUploadsAfterDays": Number(0, 365),
    "objectStore.deletionPolicy": _POLICY,
    "broker.adminSecretRef.name": _NAME,
    "broker.virtualHost": Text(1, 110, _BROKER_NAME),
    "broker.exchange": Text(1, 120, _BROKER_NAME),
    "broker.queues": Items(0, 32),
    "broker.queues[].name": Text(1, 120, _BROKER_NAME),
    "broker.queues[].bindings": Items(1, 32, distinct=True),
    "broker.queues[].bindings[]": Text(1, 255),
    "broker.queues[].deliveryLimit": Number(1, 1_000_000),
    "broker.queues[].maxLengthBytes": Number(2**20, 2**40),
    "broker.deletionPolicy": _POLICY,
    "database.secretRef.name": _NAME,
    "cache.secretRef.name": _NAME,
    "accounts.registration": OneOf(("Closed", "Open", "VerifiedOnly")),
    "limits.maxFileSize": Text(1, 16, r"[1-9][0-9]*(Ki|Mi|Gi|k|M|G)?"),
    "limits.uploads": Text(1, 32, _RATE),
    "limits.requests": Text(1, 32, _RATE),
    "documentation.openapi": OneOf((True, False)),
    "documentation.page": OneOf((True, False)),
    "schemas.mode": OneOf(("Allowed", "Any")),
    "schemas.configMapRef.name": _NAME,
    "ingress.className": _NAME,
    "ingress.host": Text(1, 253, rf"(\*\.)?{_LABEL}(\.{_LABEL})*"),
    "ingress.tlsSecretName": _NAME,
    "ingress.annotations": Texts(64),
    "trustedProxies": Items(0, 64),
    "trustedProxies[]": Text(3, 64, r"[0-9a-fA-F.:]+/[0-9]{1,3}"),
    "nodeSelector": Texts(64),
    "podAnnotations": Texts(64),
    "paused": OneOf((True, False)),
}


def out_of_bounds(spec: Mapping[str, Any]) -> list[str]:
    """
    One sentence per field of *spec* that cannot have its value.

    The value itself is not repeated.
    """
    return [
        f"{path} has a value that it cannot have"
        for path, bound in BOUNDS.items()
        if not all(
            bound.holds(value) for value in _values(spec, path.replace("[]", ".[]").split("."))
        )
    ]


def _values(found: object, path: list[str]) -> Iterator[object]:
    """What stands at *path*; nothing where it is left out."""
    if not path:
        yield found
    elif path[0] == "[]":
        for item in found if isinstance(found, list) else ():
            yield from _values(item, path[1:])
    elif isinstance(found, Mapping) and found.get(path[0]) is not None:
        yield from _values(found[path[0]], path[1:])
