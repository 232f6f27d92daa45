"""Stores tokens in a file that only its owner can read."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from uuid import uuid4


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a login; both are secrets."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)


def default_path() -> Path:
    """Return the path of the token file, by the XDG Base Directory Specification."""
    base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser() / "healthingest" / "tokens.json"


class TokenFile:
    """The tokens for each server, by its address."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, server: str) -> Tokens | None:
        """Return the tokens for *server*, or None."""
        kept = self._read().get(server)
        return None if kept is None else Tokens(**kept)

    def put(self, server: str, tokens: Tokens | None) -> None:
        """Store the tokens for *server*; None removes them."""
        kept = self._read()
        kept.pop(server, None)
        if tokens is not None:
            kept[server] = asdict(tokens)
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._path.with_name(f".{uuid4().hex}.tmp")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(kept, file)
        draft.replace(self._path)

    def _read(self) -> dict[str, dict[str, str]]:
        try:
            kept: dict[str, dict[str, str]] = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return kept
