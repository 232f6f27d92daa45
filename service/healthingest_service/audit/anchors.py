"""
The form of an anchor as an object: its key has everything, so that a listing suffices.

`audit/anchors/{YYYY}/{MM}/{DD}/{position}-{hash}.json`, the day in UTC, the position with 20
digits, so that anchors of a day sort by position.
"""

import json
import re
from datetime import UTC, date, datetime
from typing import Final

from healthingest_contract.object_keys import ANCHOR_PREFIX
from healthingest_service.audit.model import Anchor

_KEY: Final = re.compile(
    re.escape(ANCHOR_PREFIX)
    + r"(?P<day>\d{4}/\d{2}/\d{2})/(?P<position>\d{20})-(?P<hash>[0-9a-f]{64})\.json"
)


def anchor_key(anchor: Anchor) -> str:
    """Return the object key of *anchor*."""
    day = anchor.written_at.astimezone(UTC).strftime("%Y/%m/%d")
    return f"{ANCHOR_PREFIX}{day}/{anchor.position:020d}-{anchor.hash}.json"


def first_key_of(day: date) -> str:
    """Return a text that sorts after the keys of earlier days, and before those of *day*."""
    return f"{ANCHOR_PREFIX}{day:%Y/%m/%d}/"


def anchor_body(anchor: Anchor) -> bytes:
    """Return the JSON document of *anchor*, for people."""
    at = anchor.written_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    named = {"position": anchor.position, "hash": anchor.hash, "written_at": at}
    return json.dumps(named).encode()


def parse_anchor_key(key: str) -> Anchor | None:
    """Return the anchor with this key, its time as the start of its day; None for other keys."""
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    try:
        day = datetime.strptime(match["day"], "%Y/%m/%d").replace(tzinfo=UTC)
    except ValueError:
        return None
    return Anchor(int(match["position"]), match["hash"], day)
