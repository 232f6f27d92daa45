"""The command `healthingest-admin`, in this process."""

import json
from typing import Any

import pytest

from healthingest_service.main import admin_cli


class Admin:
    """The command on one database."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def does(self, *words: str) -> dict[str, Any]:
        """Return the answer of a command that succeeds."""
        code = admin_cli.main(words)
        out, err = self._capsys.readouterr()
        assert code == 0, err
        read: dict[str, Any] = json.loads(out)
        return read

    def fails(self, *words: str) -> tuple[int, str]:
        """Return exit code and message of a command."""
        code = admin_cli.main(words)
        return code, self._capsys.readouterr().err.partition(": ")[2].strip()
