"""Fingerprints of all virtual hosts and users of a broker, from nine list requests."""

import asyncio
import hashlib
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from healthingest_contract.conditions import Reason
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.ports import BrokerAccess

FRESH_SECONDS: Final = 10.0
_READS_IN_ONE_OF: Final = 5
"""
At most a fifth of the time is spent on reading a broker.

A broker needs seconds to list thousands of queues, and has little time for anything else meanwhile.
"""
_KEPT_SECONDS: Final = 300.0
_LISTS: Final = {
    "vhosts": ("name", "columns=name,description,tags"),
    "exchanges": ("vhost", "columns=vhost,name,type,durable"),
    "queues": ("vhost", "disable_stats=true&columns=vhost,name,type,durable,arguments"),
    "bindings": (
        "vhost",
        "columns=vhost,source,destination,destination_type,routing_key,properties_key",
    ),
    "policies": ("vhost", ""),
    "permissions": ("vhost", ""),
    "vhost-limits": ("vhost", ""),
    "users": ("name", "columns=name,password_hash,hashing_algorithm,tags"),
    "user-limits": ("user", ""),
}
"""
For each list: the field that groups its elements, and the query that leaves out counts.

Counts always change.
"""
_OF_USERS: Final = ("users", "user-limits")

Fetch = Callable[[BrokerAccess, str, str], Awaitable[bytes]]
"""Return the body of a list by its name and query; raises `DependencyError`."""


@dataclass(slots=True)
class _BrokerLists:
    """
    The digests of one broker's lists and the time of reading them, or the error.

    `took_seconds` is how long reading took. `texts` are digests of the lists as the broker sent
    them.
    """

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    at: float = float("-inf")
    took_seconds: float = 0.0
    error: DependencyError | None = None
    texts: dict[str, bytes] = field(default_factory=dict)
    found: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def is_fresh(self, now: float) -> bool:
        """Return whether the lists need not be read again yet."""
        return now - self.at < max(FRESH_SECONDS, _READS_IN_ONE_OF * self.took_seconds)


class Fingerprints:
    """Reads a broker's lists once for all HealthIngests; *clock* gives monotonic seconds."""

    def __init__(self, fetch: Fetch, clock: Callable[[], float]) -> None:
        self._fetch = fetch
        self._clock = clock
        self._brokers: dict[BrokerAccess, _BrokerLists] = {}

    async def of(self, access: BrokerAccess, virtual_host: str, users: Sequence[str]) -> str:
        """
        Return the fingerprint of a virtual host with its content, and of these users.

        It is at most `FRESH_SECONDS` old, or five times as old as the broker takes to answer.

        Raises:
            DependencyError: the broker could not be read. It is not read again before that time is
                over.
        """
        lists = await self._read(access)
        if lists.error is not None:
            raise lists.error
        names = [(kind, virtual_host) for kind in _LISTS if kind not in _OF_USERS]
        names += [(kind, user) for kind in _OF_USERS for user in users]
        digest = hashlib.sha256()
        for kind, name in names:
            digest.update(lists.found[kind].get(name, b"-"))
        return digest.hexdigest()

    async def _read(self, access: BrokerAccess) -> _BrokerLists:
        now = self._clock()
        self._brokers = {
            known: lists for known, lists in self._brokers.items() if now - lists.at < _KEPT_SECONDS
        }
        lists = self._brokers.setdefault(access, _BrokerLists(at=now - FRESH_SECONDS))
        if lists.is_fresh(now) and len(lists.texts) == len(_LISTS):
            # Another task may be reading the broker, which can take seconds: do not wait for it.
            return lists
        async with lists.lock:
            if not lists.is_fresh(self._clock()):
                lists.at = self._clock()
                try:
                    for kind in _LISTS:
                        await self._list(access, kind, lists)
                    lists.error = None
                except DependencyError as error:
                    lists.error = error
                lists.took_seconds = self._clock() - lists.at
        return lists

    async def _list(self, access: BrokerAccess, kind: str, lists: _BrokerLists) -> None:
        by, query = _LISTS[kind]
        text = await self._fetch(access, kind, query)
        digest = hashlib.sha256(text).digest()
        if lists.texts.get(kind) == digest:
            return
        try:
            lists.found[kind] = _digests(json.loads(text), by)
        except (ValueError, KeyError, TypeError) as error:
            message = f"the broker answers, but not with a list of {kind}"
            raise DependencyError(Reason.REQUEST_REFUSED, message) from error
        lists.texts[kind] = digest


def _digests(elements: list[dict[str, Any]], by: str) -> dict[str, bytes]:
    """Return a digest for each group of elements, independent of their order."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for element in elements:
        groups[element[by]].append(json.dumps(element, sort_keys=True))
    return {
        name: hashlib.sha256("\n".join(sorted(lines)).encode()).digest()
        for name, lines in groups.items()
    }
