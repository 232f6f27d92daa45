"""
Two or three things that a HealthIngest stands on disappear, in every order.

A deletion among them always ends.
"""

import asyncio
from itertools import permutations
from typing import Final

from healthingest_contract.conditions import Reason
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.finalize import FinalizeResult, finalize
from healthingest_operator.reconcile.reconcile import reconcile
from healthingest_operator.reconcile.records import Records
from healthingest_operator.resources.bucket import OWNER_TAG
from healthingest_operator.resources.topology import OWNER_TAG as HOST_TAG
from simulation.history import DEADLINE, RESOURCE, History, insist
from support.operator_fakes import KEY, USER_SECRETS

THINGS: Final = ("resource", "namespace", "secret", "broker", "store", "operator")
ORDERS: Final = (*permutations(THINGS, 2), *permutations(THINGS, 3))
_GONE: Final = DependencyError(Reason.UNREACHABLE, "it has disappeared")
_ABSENCE_SECONDS: Final = 90
"""Longer than the deadline of a deletion."""


class Disappearing(History):
    """A history in which the things of *order* disappear in turn, between reconciliations."""

    def __init__(self, seed: int, order: tuple[str, ...]) -> None:
        super().__init__(seed)
        self._order = order
        self._works = True
        self._finalized: FinalizeResult | None = None

    async def run(self) -> str:
        """All of it; returns the digest of what happened."""
        await self.rest()
        for what in self._order:
            getattr(self, f"_lose_{what}")()
            self.note(f"{what} disappears")
            for _ in range(self.chance.randint(0, 3)):
                await self._look()
                self.fakes.clock.advance(self.chance.choice([1, 5, 20]))
        self._works = True
        self.note("an operator is there")
        if self._is_leaving():
            await self._end_within_the_deadline()
            self._insist_gone_or_named()
        else:
            self._come_back()
            await self.rest()
        return self.digest

    async def _look(self) -> None:
        """What a living operator does now; sometimes it dies of it, and the next one goes on."""
        if not self._works or self._finalized is not None:
            return
        kill = self.chance.randint(1, 40) if self.chance.random() < 0.3 else None
        if not self._is_leaving():
            outcome = await self.attempt(reconcile(self.ports, KEY, self.mode()), kill)
            self.note(f"reconciliation ended: {outcome}")
            return
        finalized = await self.attempt(
            finalize(self.ports, self.fakes.cluster.get(*RESOURCE), DEADLINE), kill
        )
        if finalized is not None and finalized.may_remove_finalizer:
            self._finalized = finalized
            self.note(f"left: {finalized.left_behind}")

    async def _end_within_the_deadline(self) -> None:
        """However long no operator was there, and whatever is away."""
        began = self.fakes.clock.now()
        while self._finalized is None:
            await self._look()
            self.fakes.clock.advance(5)
            insist(self.fakes.clock.now() - began <= DEADLINE + DEADLINE / 2, "a deletion ends")

    def _insist_gone_or_named(self) -> None:
        """What the operator made outside is taken away, or the user is told of it."""
        left = self._finalized.left_behind if self._finalized else ()
        broker = self.fakes.broker
        store = self.fakes.store
        tags = broker.things.get(("vhosts", "clinic"), {}).get("tags", ())
        marked = [tag for tag in tags if tag.startswith(HOST_TAG)]
        users = [path for path in broker.things if path[0] == "users"]
        insist(
            not (marked or users) or [text for text in left if text.startswith("broker")],
            f"broker: {left}",
        )
        owned = OWNER_TAG in store.buckets["clinic-data"].tags
        insist(
            not owned or [text for text in left if text.startswith("object store")],
            f"bucket: {left}",
        )
        insist(("vhosts", "clinic") in broker.things, "the virtual host stays")
        self.people.insist_nothing_lost()

    def _is_leaving(self) -> bool:
        return "deletionTimestamp" in self.fakes.cluster.get(*RESOURCE)["metadata"]

    def _lose_resource(self) -> None:
        metadata = self.fakes.cluster.get(*RESOURCE)["metadata"]
        metadata.setdefault(
            "deletionTimestamp", self.fakes.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        )

    def _lose_namespace(self) -> None:
        """Its objects go in any order; the HealthIngest waits for its finalizer."""
        self.fakes.cluster.going.add(KEY.namespace)
        self._lose_resource()
        names = sorted(entry for entry in self.fakes.cluster.objects if entry[0] != "HealthIngest")
        for entry in self.chance.sample(names, self.chance.randint(0, len(names))):
            del self.fakes.cluster.objects[entry]

    def _lose_secret(self) -> None:
        name = self.chance.choice(sorted(USER_SECRETS))
        self.fakes.cluster.objects.pop(("Secret", KEY.namespace, name), None)

    def _lose_broker(self) -> None:
        self.fakes.broker.fault = _GONE

    def _lose_store(self) -> None:
        self.fakes.store.fault = _GONE

    def _lose_operator(self) -> None:
        """In the middle of something or not; what it knew is lost."""
        self._works = False
        self.fakes.records = Records()
        self.fakes.clock.advance(self.chance.choice([1, _ABSENCE_SECONDS]))

    def _come_back(self) -> None:
        self.fakes.broker.fault = self.fakes.store.fault = None


def disappear(seed: int, order: tuple[str, ...]) -> str:
    """
    The history of *seed* in which the things of *order* disappear, and its digest.

    Raises:
        BrokenPromiseError: the operator broke a promise.
    """
    return asyncio.run(Disappearing(seed, order).run())
