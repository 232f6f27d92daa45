"""The texts that must not appear anywhere: values of Secrets, passwords and tokens of clients."""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from healthingest_contract import environment as env

PUBLIC_KEYS: Final = {
    *("username", "virtualHost", "queues", "amqpUrl", "managementUrl"),
    *("accessKeyId", env.STORE_ACCESS_KEY_ID, env.MAIL_SMTP_USERNAME),
    *("s3Endpoint", "s3Region", "s3Bucket", "s3AccessKeyId", "s3CaBundle"),
    *("host", "port", "dbname", "user"),
    *("ca.crt", "tls.crt", "namespace"),
}
"""Keys of Secrets whose values are names and addresses, and not confidential."""
OTHER_TYPES: Final = {"helm.sh/release.v1"}
"""Types of Secrets that are not searched: they hold charts."""
LEAST_CHARACTERS: Final = 12
"""Shorter values would be found by chance; values that the run generates are longer."""

_WORD: Final = re.compile(rb"[A-Za-z0-9+/_-]{%d,}" % LEAST_CHARACTERS)
"""Confidential values consist of these characters, or contain such a part."""
_PEM_LINE: Final = re.compile(r"^[A-Za-z0-9+/=]{40,}$", re.MULTILINE)
_OF_CLIENTS: Final[dict[str, str]] = {}


def keep(what: str, value: str) -> str:
    """Register a confidential value of a client, and return it."""
    _OF_CLIENTS[value] = what
    return value


def of_clients() -> Mapping[str, str]:
    """Return every registered value with its description."""
    return dict(_OF_CLIENTS)


def of_secret(secret: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each confidential value of a Secret, and the key that holds it."""
    if secret.get("type") in OTHER_TYPES:
        return
    metadata = secret["metadata"]
    for key, encoded in (secret.get("data") or {}).items():
        if key in PUBLIC_KEYS:
            continue
        try:
            text = base64.b64decode(encoded).decode()
        except ValueError:  # a test of healing has written binary data
            continue
        for value in _parts(text):
            if len(value) >= LEAST_CHARACTERS:
                yield value, f"Secret {metadata['namespace']}/{metadata['name']}, key {key}"


def _parts(text: str) -> Iterator[str]:
    """
    Yield the confidential parts.

    The whole text, the password of a URL, or each line of a PEM key.
    """
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
    """Yield the forms of a text: plain, URL-encoded, and in Base64 as in a Secret."""
    encoded = base64.b64encode(value.encode())
    # the end of Base64 depends on the next bytes
    return {value.encode(), quote(value, safe="").encode(), encoded.rstrip(b"=")[:-1]}


class Search:
    """
    Searches for thousands of texts at once, by their first characters.

    One search for each would take minutes.
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
        """Return the texts that *text* contains."""
        likely = set(self._others)
        for word in set(_WORD.findall(text)):
            for start in range(len(word) - LEAST_CHARACTERS + 1):
                if found := self._by_beginning.get(word[start : start + LEAST_CHARACTERS]):
                    likely |= found
        return {one for one in likely if one in text}
