"""The port `Anchors` with a folder, beside the objects of a `FolderStore`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import date
from pathlib import Path
from uuid import uuid4

from typing_extensions import override

from healthingest_contract.object_keys import ANCHOR_PREFIX
from healthingest_service.audit.anchors import (
    anchor_body,
    anchor_key,
    first_key_of,
    parse_anchor_key,
)
from healthingest_service.audit.errors import AuditUnavailableError
from healthingest_service.audit.model import Anchor
from healthingest_service.audit.ports import Anchors


class FolderAnchors(Anchors):
    """Anchors as files below *root*, their keys as paths."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @override
    async def write(self, anchor: Anchor) -> None:
        try:
            await asyncio.to_thread(_write, self._root / anchor_key(anchor), anchor_body(anchor))
        except OSError as error:
            raise AuditUnavailableError from error

    @override
    async def all(self) -> AsyncIterator[Anchor]:
        try:
            keys = await asyncio.to_thread(_keys, self._root)
        except OSError as error:
            raise AuditUnavailableError from error
        for key in keys:
            anchor = parse_anchor_key(key)
            if anchor is not None:
                yield anchor

    @override
    async def of_days_before(self, day: date) -> AsyncIterator[Anchor]:
        end = first_key_of(day)
        async for anchor in self.all():
            if anchor_key(anchor) < end:
                yield anchor

    @override
    async def remove(self, anchor: Anchor) -> bool:
        try:
            await asyncio.to_thread(_remove, self._root / anchor_key(anchor))
        except OSError:
            return False
        return True


def _write(path: Path, body: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.parent / f".{uuid4().hex}"
    unfinished.write_bytes(body)
    unfinished.replace(path)


def _keys(root: Path) -> list[str]:
    found = (root / ANCHOR_PREFIX).rglob("*.json")
    return sorted(path.relative_to(root).as_posix() for path in found)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    with suppress(OSError):  # the folder of the day has other files, or is gone
        path.parent.rmdir()
