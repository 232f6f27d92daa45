"""
The objects below `erasures/` in the bucket, and their conversion to and from bytes.

Each one is written before its uploads are removed. After the database was restored from an earlier
backup, it tells what was erased since. It contains nothing personal.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from healthingest_contract.events import rfc3339
from healthingest_contract.object_keys import ERASURES_PREFIX
from healthingest_service.erasure.keys import ErasureKeys
from healthingest_service.erasure.model import (
    Erasure,
    ErasureId,
    ErasureKind,
    ErasureState,
    KnownSubject,
    Scope,
    Tombstone,
)
from healthingest_service.studies.model import Pseudonym, StudySlug

MAX_BYTES: Final = 4 * 1024 * 1024
_NAME_CHARACTERS: Final = 32


class InvalidDocumentError(Exception):
    """The object was not written by this installation, or was changed."""


@dataclass(frozen=True, slots=True)
class ErasureDocument:
    """A part of an erasure: some of its tombstones, and some of its subjects."""

    erasure: Erasure
    tombstones: Sequence[Tombstone] = ()
    subjects: Sequence[KnownSubject] = ()


def document_name(erasure_id: ErasureId, content: bytes) -> str:
    """Return the name of an object; equal content has an equal name, so writing is repeatable."""
    digest = hashlib.sha256(content).hexdigest()[:_NAME_CHARACTERS]
    return f"{ERASURES_PREFIX}{erasure_id}/{digest}.json"


def to_bytes(document: ErasureDocument, keys: ErasureKeys) -> bytes:
    """Return the object: JSON with its authentication code."""
    erasure = document.erasure
    scope = erasure.scope
    body = json.dumps(
        {
            "erasure_id": str(erasure.id),
            "kind": scope.kind.value,
            "study": scope.study,
            "target": None if scope.target is None else str(scope.target),
            "received_before": _time(scope.received_before),
            "requested_at": _time(erasure.requested_at),
            "starts_at": _time(erasure.starts_at),
            "tombstones": [
                [str(one.id), one.study, _text(one.upload_hash), _text(one.key_hash)]
                for one in document.tombstones
            ],
            "subjects": [[str(one.id), one.hidden] for one in document.subjects],
        },
        sort_keys=True,
    )
    return json.dumps({"body": body, "mac": keys.mac(body.encode())}).encode()


def from_bytes(content: bytes, keys: ErasureKeys) -> ErasureDocument:
    """
    Parse an object; its erasure is `requested`.

    Raises:
        InvalidDocumentError: it was not written with these keys, or was changed.
    """
    try:
        outer = json.loads(content)
        body, mac = (outer["body"], outer["mac"])
        if not keys.has_mac(body.encode(), mac):
            raise InvalidDocumentError
        return _read(json.loads(body))
    except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
        raise InvalidDocumentError from error


def _read(read: dict[str, Any]) -> ErasureDocument:
    target = None if read["target"] is None else UUID(read["target"])
    before = read["received_before"]
    requested_at = datetime.fromisoformat(read["requested_at"])
    scope = Scope(
        ErasureKind(read["kind"]),
        StudySlug(read["study"]),
        target,
        None if before is None else datetime.fromisoformat(before),
    )
    erasure = Erasure(
        id=ErasureId(UUID(read["erasure_id"])),
        scope=scope,
        state=ErasureState.REQUESTED,
        requested_at=requested_at,
        starts_at=datetime.fromisoformat(read["starts_at"]),
    )
    tombstones = [
        Tombstone(UUID(one), StudySlug(study), _bytes(upload), _bytes(key))
        for one, study, upload, key in read["tombstones"]
    ]
    subjects = [KnownSubject(UUID(one), Pseudonym(hidden)) for one, hidden in read["subjects"]]
    return ErasureDocument(erasure, tombstones, subjects)


def _time(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
