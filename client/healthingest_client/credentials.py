"""Stores tokens: in the keyring of the system, or in a file that only its owner can read."""

import importlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import uuid4

from healthingest_client.errors import ClientError

_SERVICE: Final = "healthingest"
_LEAST_PRIORITY: Final = 1
"""Of a keyring that is recommended (keyring's documentation of backends)."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """
    The tokens of a login, which are secrets, or a device token alone.

    `expires_at` is when the access token ends, in seconds since 1970. Tokens of an identity
    provider are renewed at its `token_endpoint`, as the client `client_id`.
    """

    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    expires_at: float | None = None
    token_endpoint: str | None = None
    client_id: str | None = None


class TokenStore(Protocol):
    """Stores the tokens for each server, by its address."""

    def get(self, server: str) -> Tokens | None:
        """
        Return the tokens for *server*, or None.

        Raises:
            ClientError, OSError: the store cannot be read.
        """
        ...

    def put(self, server: str, tokens: Tokens | None) -> None:
        """
        Store the tokens for *server*; None removes them. Calling it twice is safe.

        Raises:
            ClientError, OSError: the store cannot be written.
        """
        ...


class Keyring(Protocol):
    """What is used of the package `keyring`."""

    def get_password(self, service: str, username: str) -> str | None: ...  # noqa: D102

    def set_password(self, service: str, username: str, password: str) -> None: ...  # noqa: D102

    def delete_password(self, service: str, username: str) -> None: ...  # noqa: D102


def default_path() -> Path:
    """Return the path of the token file, by the XDG Base Directory Specification."""
    base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser() / "healthingest" / "tokens.json"


def open_tokens(path: Path | None) -> TokenStore:
    """Return the token file *path*; None: the keyring of the system, or else the default file."""
    keyring = _system_keyring() if path is None else None
    return TokenFile(path or default_path()) if keyring is None else KeyringTokens(keyring)


class TokenFile(TokenStore):
    """Tokens in a file of JSON."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, server: str) -> Tokens | None:
        """See `TokenStore.get`."""
        return _tokens_of(self._read().get(server))

    def put(self, server: str, tokens: Tokens | None) -> None:
        """See `TokenStore.put`."""
        kept = self._read()
        kept.pop(server, None)
        if tokens is not None:
            kept[server] = _present(tokens)
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._path.with_name(f".{uuid4().hex}.tmp")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(kept, file)
        draft.replace(self._path)

    def _read(self) -> dict[str, Any]:
        try:
            return _json_object(self._path.read_text(encoding="utf-8"), str(self._path))
        except FileNotFoundError:
            return {}


class KeyringTokens(TokenStore):
    """Tokens in the keyring of the system."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def get(self, server: str) -> Tokens | None:
        """See `TokenStore.get`."""
        try:
            text = self._keyring.get_password(_SERVICE, server)
        except Exception as error:  # each backend has its own errors
            raise _keyring_error(error) from error
        return None if text is None else _tokens_of(_json_object(text, "the keyring"))

    def put(self, server: str, tokens: Tokens | None) -> None:
        """See `TokenStore.put`."""
        try:
            if tokens is not None:
                self._keyring.set_password(_SERVICE, server, json.dumps(_present(tokens)))
            elif self._keyring.get_password(_SERVICE, server) is not None:
                self._keyring.delete_password(_SERVICE, server)
        except Exception as error:  # each backend has its own errors
            raise _keyring_error(error) from error


class MemoryTokens(TokenStore):
    """Tokens that are valid for every server, and are not stored."""

    def __init__(self, tokens: Tokens | None = None) -> None:
        self._tokens = tokens

    def get(self, server: str) -> Tokens | None:  # noqa: ARG002 - the same for each
        """See `TokenStore.get`."""
        return self._tokens

    def put(self, server: str, tokens: Tokens | None) -> None:  # noqa: ARG002 - the same for each
        """See `TokenStore.put`."""
        self._tokens = tokens


def _system_keyring() -> Keyring | None:
    try:
        package = importlib.import_module("keyring")
    except ImportError:
        return None
    keyring: Keyring = package.get_keyring()
    return keyring if getattr(keyring, "priority", 0) >= _LEAST_PRIORITY else None


def _present(tokens: Tokens) -> dict[str, Any]:
    return {name: value for name, value in asdict(tokens).items() if value is not None}


def _tokens_of(kept: Mapping[str, Any] | None) -> Tokens | None:
    if kept is None:
        return None
    names = {one.name for one in fields(Tokens)}
    return Tokens(**{name: value for name, value in kept.items() if name in names})


def _json_object(text: str, place: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        message = f"{place}: no tokens can be read from it; remove it and log in again"
        raise ClientError(message)
    return value


def _keyring_error(error: Exception) -> ClientError:
    return ClientError(
        f"the keyring does not work ({type(error).__name__}); choose a file with --token-file"
    )
