"""
What must not be said anywhere.

Values of Secrets, and what clients have beside them (passwords, tokens).
"""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from healthingest_contract import environment as env

PUBLIC_KEYS: Final = {
    *("username", "virtualHost", "queues", "amqpUrl", "managementUrl"),
    *("accessKeyId", env.STORE_ACCESS_KEY_ID),
    *("ca.crt", "tls.crt", "namespace"),
}
"""Keys of Secrets whose values are names and addresses."""
OTHER_TYPES: Final = {"helm.sh/release.v1"}
"""Secrets that hold a chart."""
LEAST_CHARACTERS: Final = 12
"""Shorter ones would be found in anything; those that the run makes are longer."""

_WORD: Final = re.compile(rb"[A-Za-z0-9+/_-]{%d,}" % LEAST_CHARACTERS)
"""Values are made of such letters, or have such a part."""
_PEM_LINE: Final = re.compile(r"^[A-Za-z0-9+/=]{40,}$", re.MULTILINE)
_OF_CLIENTS: Final[dict[str, str]] = {}


def keep(what: str, value: str) -> str:
    """Remember what a client must keep to itself; returns it."""
    _OF_CLIENTS[value] = what
    return value


def of_clients() -> Mapping[str, str]:
    """Everything that was given to `keep`: value to what it is."""
    return dict(_OF_CLIENTS)


def of_secret(secret: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each confidential value of a Secret as the API server gives it, and whose it is."""
    if secret.get("type") in OTHER_TYPES:
        return
    metadata = secret["metadata"]
    for key, encoded in (secret.get("data") or {}).items():
        if key in PUBLIC_KEYS:
            continue
        try:
            text = base64.b64decode(encoded).decode()
        except ValueError:  # somebody wrote what is no text: a test of healing
            continue
        for value in _parts(text):
            if len(value) >= LEAST_CHARACTERS:
                yield value, f"Secret {metadata['namespace']}/{metadata['name']}, key {key}"


def _parts(text: str) -> Iterator[str]:
    """All of it, for its Base64; of an address its password, of a key in PEM each of its lines."""
    if "://" in text:
        try:
            password = urlsplit(text).password
        except ValueError:
            return
        if not password:
            return
        yield unquote(password)
    elif text.startswith("-----BEGIN"):
        yield from _PEM_LINE.findall(text)
    yield text.strip()


def forms(value: str) -> Iterable[bytes]:
    """
    The ways in which a text may bear a value.

    As it is, in an address, in Base64 as in a Secret.
    """
    encoded = base64.b64encode(value.encode())
    # The end of Base64 depends on what follows.
    return {value.encode(), quote(value, safe="").encode(), encoded.rstrip(b"=")[:-1]}


class Search:
    """
    Looks for thousands of texts at once, by the first letters of each.

    One after the other would take minutes.
    """

    def __init__(self, sought: Iterable[bytes]) -> None:
        self._by_beginning: dict[bytes, set[bytes]] = {}
        self._others: set[bytes] = set()
        for text in sought:
            word = _WORD.search(text)
            if word is None:
                self._others.add(text)
            else:
                self._by_beginning.setdefault(word[0][:LEAST_CHARACTERS], set()).add(text)

    def found_in(self, text: bytes) -> set[bytes]:
        """Which of them *text* has."""
        likely = set(self._others)
        for word in set(_WORD.findall(text)):
            for start in range(len(word) - LEAST_CHARACTERS + 1):
                if found := self._by_beginning.get(word[start : start + LEAST_CHARACTERS]):
                    likely |= found
        return {one for one in likely if one in text}
