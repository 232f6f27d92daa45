"""
Two HealthIngests name the same bucket, the same virtual host, or both.

The oldest owns it, whoever comes first.
"""

import asyncio
import copy
from datetime import timedelta
from typing import Any, Final

from healthingest_contract.conditions import Reason
from healthingest_operator.api.healthingest import Key
from healthingest_operator.reconcile.finalize import finalize
from healthingest_operator.reconcile.outcome import Outcome, ReconcileMode
from healthingest_operator.reconcile.reconcile import reconcile
from healthingest_operator.resources.bucket import OWNER_TAG
from healthingest_operator.resources.names import owner_id
from healthingest_operator.resources.topology import OWNER_TAG as HOST_TAG
from simulation.history import DEADLINE, PASSES, PATIENCE, History, insist
from support.operator_fakes import KEY, manifest

RIVAL: Final = Key(KEY.namespace, "rival")
_EARLY = "2025-01-01T00:00:00Z"
_LATE = "2025-06-01T00:00:00Z"
_SHARES: Final = (("bucket",), ("host",), ("bucket", "host"))


class Rivals(History):
    """A history of two; what they share, who is older and who comes first is drawn."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._shared = self.chance.choice(_SHARES)
        first = self.fakes.cluster.get("HealthIngest", KEY.name)
        rival = manifest()
        rival["metadata"] |= {"name": RIVAL.name, "uid": "uid-2"}
        if "bucket" not in self._shared:
            rival["spec"]["objectStore"]["bucket"] = "rival-data"
        if "host" not in self._shared:
            rival["spec"]["broker"]["virtualHost"] = "rival"
        self.older, self.younger = self.chance.choice([(KEY, RIVAL), (RIVAL, KEY)])
        for body in (first, rival):
            body["metadata"]["creationTimestamp"] = (
                _EARLY if body["metadata"]["name"] == self.older.name else _LATE
            )
        self._late = rival if self.chance.random() < 0.5 else None
        if self._late is None:
            self.fakes.cluster.put(rival)

    def told(self, status: Any) -> None:  # noqa: ANN401 - as it is
        """What is said of one alone is checked by histories of one."""

    async def run(self) -> str:
        """All of it; returns the digest of what happened."""
        await self._chaos()
        if self._late is not None:
            self.fakes.cluster.put(self._late)
        await self._chaos()
        await self._rest({self.older: Outcome.READY, self.younger: Outcome.FAILING})
        self._insist_owner(self.older)
        self._insist_told()
        await self._leave(self.older)
        await self._rest({self.younger: Outcome.READY})
        self._insist_owner(self.younger)
        return self.digest

    async def _chaos(self) -> None:
        """Passes over both in any order, faults, kills, and people who take marks off."""
        for _ in range(PASSES):
            key = self.chance.choice([key for key in (KEY, RIVAL) if self._body(key) is not None])
            self.faults = self.chance.choice([0.0, 0.0, 0.02, 0.2])
            kill = self.chance.randint(1, 80) if self.chance.random() < 0.3 else None
            mode = self.chance.choice(
                [ReconcileMode.FULL, ReconcileMode.FULL, ReconcileMode.EXTERNAL_CHECK]
            )
            self.note(f"{key.name}: {await self.attempt(reconcile(self.ports, key, mode), kill)}")
            if self.chance.random() < 0.1:
                self._take_marks_off()
            if self.chance.random() < 0.7:
                self.fakes.cluster.settle()
            self.fakes.clock.advance(self.chance.choice([1, 30]))
        self.faults = 0.0

    async def _rest(self, wanted: dict[Key, Outcome]) -> None:
        """
        In healthy fakes each comes to its end and says so.

        Then nothing is written, by none of them.
        """
        for _ in range(PATIENCE):
            self.fakes.forget_writes()
            found = {key: await self.attempt(reconcile(self.ports, key), None) for key in wanted}
            quiet = self.fakes.all_writes() == []
            self.fakes.cluster.settle()
            self.fakes.clock.advance(1300)
            if found == wanted and quiet:
                return
        insist(holds=False, promise=f"both come to rest: {found} {self.fakes.all_writes()}")

    async def _leave(self, key: Key) -> None:
        """A deletion, until it is through."""
        body = self.fakes.cluster.get("HealthIngest", key.name)
        body["metadata"]["deletionTimestamp"] = self.fakes.clock.now().strftime(
            "%Y-%m-%dT%H:%M:%SZ"
        )
        began = self.fakes.clock.now()
        while True:
            kill = self.chance.randint(1, 25) if self.chance.random() < 0.3 else None
            finalized = await self.attempt(finalize(self.ports, body, DEADLINE), kill)
            if finalized is not None and finalized.may_remove_finalizer:
                break
            self.fakes.clock.advance(5)
            insist(self.fakes.clock.now() - began < timedelta(hours=1), "a deletion ends")
        del self.fakes.cluster.objects["HealthIngest", key.namespace, key.name]
        self.note(f"{key.name} is gone")

    def _body(self, key: Key) -> dict[str, Any] | None:
        return self.fakes.cluster.objects.get(("HealthIngest", key.namespace, key.name))

    def _take_marks_off(self) -> None:
        store = self.fakes.store
        host = self.fakes.broker.things.get(("vhosts", "clinic"))
        if host is not None:
            host["tags"] = []
        for name, found in list(store.buckets.items()):
            values = {slot: getattr(found, slot) for slot in found.__slots__}
            store.buckets[name] = type(found)(**values | {"tags": {}})
        self.note("marks are taken off")

    def _insist_owner(self, key: Key) -> None:
        """The marks are of *key* on what both name."""
        if "bucket" in self._shared:
            tags = self.fakes.store.buckets["clinic-data"].tags
            insist(
                tags.get(OWNER_TAG) == owner_id(key), f"the bucket is {key.name}'s: {dict(tags)}"
            )
        if "host" in self._shared:
            tags = self.fakes.broker.things["vhosts", "clinic"]["tags"]
            insist(
                [tag for tag in tags if tag.startswith(HOST_TAG)] == [f"{HOST_TAG}{owner_id(key)}"],
                "the host",
            )

    def _insist_told(self) -> None:
        """The younger one names each thing that belongs to another, and no other thing."""
        status = copy.deepcopy((self._body(self.younger) or {})["status"])
        told = {entry["type"]: (entry["status"], entry["reason"]) for entry in status["conditions"]}
        for kind, what in (("BucketReady", "bucket"), ("TopologyReady", "host")):
            conflict = told[kind] == ("False", Reason.RESOURCE_CONFLICT)
            insist(conflict == (what in self._shared), f"{kind} of the younger one: {told[kind]}")


def rival(seed: int) -> str:
    """
    The history of *seed* with two HealthIngests, and its digest.

    Raises:
        BrokenPromiseError: the operator broke a promise.
    """
    return asyncio.run(Rivals(seed).run())
