"""
Takes out of objects and texts what must not leave the cluster.

Values of variables, ConfigMaps and annotations go by their place; values of Secrets go wherever
they occur; logins, tokens, keys and e-mail addresses go by their form.
"""

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from healthingest_contract.stop_causes import stop_cause, stop_line
from healthingest_operator.resources.names import DESIRED_ANNOTATION
from healthingest_operator.resources.pods import DIGEST_ANNOTATION
from healthingest_plugin.model import KubernetesObject

REDACTED: Final = "<redacted>"
SHORTEST: Final = 4
"""Shorter values of Secrets are words that occur everywhere."""
_KEPT_ANNOTATIONS: Final = frozenset(
    {DESIRED_ANNOTATION, DIGEST_ANNOTATION, "deployment.kubernetes.io/revision"}
)
_DROPPED: Final = frozenset({"managedFields"})
_MAPS: Final = frozenset(
    {"annotations", "podAnnotations", "data", "stringData", "binaryData", "settings"}
)
"""Fields whose keys stay and whose values go."""
_COMMANDS: Final = frozenset({"args", "command"})
_WORD: Final = re.compile(r"^[a-z][a-z-]{0,30}$")
_FORMS: Final = (
    re.compile(r"-----BEGIN [A-Z ]+-----.*?(?:-----END [A-Z ]+-----|\Z)", re.DOTALL),
    re.compile(r"(?<=://)[^\s/@]+(?=@)"),
    re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
    re.compile(r"\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?"),
    re.compile(r"(?<=bearer )\S+|(?<=basic )\S+", re.IGNORECASE),
    re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}"),
    re.compile(
        r"""(?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|credential)\w*["']?"""
        r"""\s*[:=]\s*["']?(?!["'\s])[^\s"',;&}]+""",
        re.IGNORECASE,
    ),
    re.compile(r"(?<![\w:-])(?=[\w+/]*\d)(?=[\w+/]*[A-Z])[A-Za-z0-9+/_]{40,}={0,2}"),
)


class Redactor:
    """Redacts objects and texts; *values* are secrets that go wherever they occur."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        known = sorted({value for value in values if len(value) >= SHORTEST}, key=len, reverse=True)
        self._values = re.compile("|".join(map(re.escape, known))) if known else None

    def text(self, text: str) -> str:
        """Return *text* without secrets."""
        if self._values is not None:
            text = self._values.sub(REDACTED, text)
        for form in _FORMS:
            text = form.sub(REDACTED, text)
        return text

    def manifest(self, found: KubernetesObject) -> dict[str, Any]:
        """Return an object without secrets; it must not be a Secret."""
        return {name: self._field(name, value) for name, value in found.items()} | {
            name: found[name] for name in ("apiVersion", "kind") if name in found
        }

    def _field(self, name: str, value: object) -> object:
        """Return a field by the rule of its name, else by its type."""
        if isinstance(value, Mapping):
            return self._mapping(name, value)
        if isinstance(value, list):
            return self._list(name, value)
        return self._any(value)

    def _mapping(self, name: str, found: Mapping[str, Any]) -> dict[str, Any]:
        if name in _MAPS:
            return {
                key: inner if key in _KEPT_ANNOTATIONS else REDACTED for key, inner in found.items()
            }
        if name == "terminated" and found.get("message"):
            return self._fields({**found, "message": _stop(str(found["message"]))})
        return self._fields(found)

    def _list(self, name: str, found: list[Any]) -> list[object]:
        if name == "env":
            return [self._variable(entry) for entry in found]
        if name in _COMMANDS:
            return [word if _WORD.match(str(word)) else REDACTED for word in found]
        return [self._any(entry) for entry in found]

    def _variable(self, entry: object) -> object:
        if not isinstance(entry, Mapping):
            return REDACTED
        kept = self._fields(entry)
        return kept | {"value": REDACTED} if "value" in kept else kept

    def _fields(self, found: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: self._field(name, value) for name, value in found.items() if name not in _DROPPED
        }

    def _any(self, value: object) -> object:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return self._fields(value)
        if isinstance(value, list):
            return [self._any(entry) for entry in value]
        return value


def _stop(message: str) -> str:
    """Return the code that the service left when it ended, and nothing of its log."""
    cause = stop_cause(message)
    return REDACTED if cause is None else stop_line(cause).strip()


def values_of_secret(secret: KubernetesObject) -> set[str]:
    """Return the values of a Secret, and the parts and forms in which they may occur."""
    found: set[str] = set()
    for encoded in (secret.get("data") or {}).values():
        found.add(encoded)
        with suppress(ValueError):
            found |= forms_of(base64.b64decode(encoded).decode())
    return found


def forms_of(value: str) -> set[str]:
    """Return a value, its lines, and login and password of an address in it."""
    plain = value.strip()
    found = {plain, base64.b64encode(value.encode()).decode()}
    found |= {line.strip() for line in plain.splitlines() if not line.startswith("-----")}
    with suppress(ValueError):
        password = urlsplit(plain).password
        if password:
            found |= {password, unquote(password)}
    return {form for form in found if form}


def values_of_spec(spec: KubernetesObject, longest_word: int = 8) -> set[str]:
    """Return values that people write into a spec and that may be secret."""
    maps: tuple[Callable[[], Mapping[str, str]], ...] = (
        lambda: spec.get("settings") or {},
        lambda: spec.get("podAnnotations") or {},
        lambda: (spec.get("ingress") or {}).get("annotations") or {},
    )
    return {
        str(value) for read in maps for value in read().values() if len(str(value)) > longest_word
    }
