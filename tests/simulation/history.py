"""
One seed, one history.

The operator's core among dependencies that fail, forget and change, and with kills.

Everything that happens is drawn from one generator of random numbers, and nothing else depends on
time or chance, so a seed replays bit for bit. Faults strike before or after the effect of a call; a
kill strikes at a wait.
"""

import asyncio
import hashlib
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from healthingest_contract import environment as env
from healthingest_contract.conditions import ROTATE_ANNOTATION, Reason
from healthingest_operator.reconcile.errors import ClusterError, DependencyError
from healthingest_operator.reconcile.finalize import finalize
from healthingest_operator.reconcile.outcome import Outcome, ReconcileMode
from healthingest_operator.reconcile.ports import Ports
from healthingest_operator.reconcile.reconcile import reconcile
from healthingest_operator.reconcile.records import Records
from healthingest_operator.resources.bucket import ERASURE_KEY_TAG, OWNER_TAG
from healthingest_operator.resources.erasure_key import ENTRY, fingerprint_of
from healthingest_operator.resources.names import erasure_key_secret
from healthingest_operator.resources.secrets import decode, password_of, user_of
from healthingest_operator.resources.topology import OWNER_TAG as HOST_TAG
from healthingest_operator.resources.topology import is_password
from simulation.people import People
from support.operator_fakes import KEY, OperatorFakes

RESOURCE: Final = ("HealthIngest", KEY.name)
PASSES: Final = 12
PATIENCE: Final = 30
"""Reconciliations that healthy fakes may take to come to rest."""
DEADLINE: Final = timedelta(seconds=60)
_SILENT: Final = 0.1
"""How likely it is that a change is not told yet."""
_USERS: Final = 2
"""Of the broker: the relay's and the consumers'."""
_CLUSTER_FAULTS: Final = (0, 409, 410, 422, 429, 500, 503)
_REASONS: Final = (
    Reason.UNREACHABLE,
    Reason.UNREACHABLE,
    Reason.AUTHENTICATION_FAILED,
    Reason.REQUEST_REFUSED,
)


class BrokenPromiseError(AssertionError):
    """What must always hold does not."""


def insist(holds: object, promise: str) -> None:
    """
    Check a promise.

    Raises:
        BrokenPromiseError: it does not hold.
    """
    if not holds:
        raise BrokenPromiseError(promise)


class Unsteady:
    """A port whose every call is a wait, at which a call may fail and the operator may die."""

    def __init__(self, name: str, inner: object, history: "History") -> None:
        self._name = name
        self._inner = inner
        self._history = history

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        work = getattr(self._inner, method)

        # ANN401: as the port answers
        async def call(*given: object, **named: object) -> Any:  # noqa: ANN401
            await self._history.wait(f"{self._name}.{method}", self._name)
            answer = await work(*given, **named)
            if method == "write_status":
                self._history.told(given[1])  # type: ignore[arg-type] # the port's second argument
            await self._history.wait(f"{self._name}.{method} answered", self._name)
            return answer

        return call


class History:
    """The fakes, and what happened in them."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - one seed, one history
        self.fakes = OperatorFakes()
        self.people = People(self.fakes, self.chance)
        self.faults = 0.0
        self.waits_to_live: int | None = None
        self._trace = hashlib.sha256()
        self.kills = 0
        self.specs: dict[int, dict[str, Any]] = {}
        self._looked_at: tuple[int, str] | None = None

    @property
    def digest(self) -> str:
        """Of everything that happened."""
        return self._trace.hexdigest()

    def note(self, what: str) -> None:
        """Something happened."""
        self._trace.update(f"{what}\n".encode())

    async def wait(self, what: str, port: str) -> None:
        """
        A wait: a call may fail here, the operator may die here.

        Raises:
            ClusterError: the cluster fails.
            DependencyError: another system fails.
            CancelledError: the operator dies.
        """
        await asyncio.sleep(0)
        if self.waits_to_live is not None:
            self.waits_to_live -= 1
            if self.waits_to_live <= 0:
                # As with a process: once it is dead, none of its tasks does anything more.
                raise asyncio.CancelledError
        self.note(what)
        if self.chance.random() < self.faults:
            self.note("fails")
            if port == "cluster":
                status = self.chance.choice(_CLUSTER_FAULTS)
                raise ClusterError(status, f"simulated {status}")
            raise DependencyError(self.chance.choice(_REASONS), "simulated")

    def told(self, status: Mapping[str, Any]) -> None:
        """Ready=True for a generation is said only of what was applied of that generation."""
        for condition in status["conditions"]:
            if condition["type"] == "Ready" and condition["status"] == "True":
                self._insist_applied(condition["observedGeneration"])

    def _insist_applied(self, generation: int) -> None:
        spec = self.specs[generation]
        cluster = self.fakes.cluster
        broker = self.fakes.broker
        if cluster.get("HealthIngest", KEY.name)["spec"].get("paused"):
            return  # what was found before; people may have changed it since
        pod = cluster.get("Deployment", "clinic-api")["spec"]["template"]["spec"]
        insist(
            pod["containers"][0]["image"] == spec.get("image", "service:1"), "Ready with its image"
        )
        limits = cluster.get("ConfigMap", "clinic-config")["data"][env.LIMITS_UPLOADS]
        insist(
            limits == spec.get("limits", {}).get("uploads", "10/minute"), "Ready with its limits"
        )
        for queue in spec["broker"].get("queues", [{"name": "processing"}]):
            insist(("queues", "clinic", queue["name"]) in broker.things, "Ready with every queue")

    @property
    def ports(self) -> Ports:
        """The ports, with faults."""
        real = self.fakes.ports
        return Ports(
            # mypy: it stands for any port
            Unsteady("cluster", real.cluster, self),  # type: ignore[arg-type]
            Unsteady("store", real.store, self),  # type: ignore[arg-type] # the same
            Unsteady("broker", real.broker, self),  # type: ignore[arg-type] # the same
            Unsteady("database", real.database, self),  # type: ignore[arg-type] # the same
            real.clock,
            real.generators,
            real.service_image,
            real.rotation,
            real.records,
            cache=real.cache,
        )

    def mode(self) -> ReconcileMode:
        """In full after a change of the HealthIngest itself, which the watch reports."""
        metadata = self.fakes.cluster.get(*RESOURCE)["metadata"]
        mark = (metadata["generation"], repr(metadata.get("annotations")))
        if (
            mark != self._looked_at
            and self._looked_at is not None
            and self.chance.random() < _SILENT
        ):
            return ReconcileMode.EXTERNAL_CHECK  # the watch is silent: it tells later
        changed = mark != self._looked_at
        self._looked_at = mark
        return (
            ReconcileMode.FULL
            if changed
            else self.chance.choice(
                [ReconcileMode.FULL, ReconcileMode.EXTERNAL_CHECK, ReconcileMode.EXTERNAL_CHECK]
            )
        )

    # ANN401: the type is that of *work*
    async def attempt(self, work: Awaitable[Any], kill: int | None) -> Any:  # noqa: ANN401
        """Do it, with the operator dying at the *kill*-th wait; None when it died or broke off."""
        for (kind, _, name), found in self.fakes.cluster.objects.items():
            if (kind, name) == RESOURCE:
                self.specs[found["metadata"]["generation"]] = found["spec"]
        self.waits_to_live = kill
        try:
            return await asyncio.ensure_future(work)
        except asyncio.CancelledError:
            self.kills += 1
            self.fakes.records = Records()  # the next process knows nothing
            self.note("killed")
        except (ClusterError, DependencyError):
            self.note("ended by an error")
        except ExceptionGroup as group:
            if group.split((ClusterError, DependencyError))[1] is not None:
                raise
            self.note("ended by an error")
        finally:
            self.waits_to_live = None
        return None

    async def chaos(self) -> None:
        """People, faults, kills and reconciliations, in any order."""
        for _ in range(PASSES):
            self.faults = self.chance.choice([0.0, 0.0, 0.02, 0.2])
            kill = self.chance.randint(1, 80) if self.chance.random() < 0.4 else None
            outcome = await self.attempt(reconcile(self.ports, KEY, self.mode()), kill)
            self.note(f"reconciliation ended: {outcome}")
            self.people.insist_nothing_lost()
            self.note(self.people.do_something())
            if self.chance.random() < 0.7:
                self.fakes.cluster.settle()
            self.fakes.clock.advance(self.chance.choice([1, 30, 70]))
        self.faults = 0.0

    async def rest(self) -> None:
        """Once the fakes are healthy, all comes to rest as wanted, and then nothing is written."""
        self.people.mend()
        for _ in range(PATIENCE):
            self.fakes.forget_writes()
            outcome = await self.attempt(reconcile(self.ports, KEY), None)
            quiet = self.fakes.all_writes() == []
            self.fakes.cluster.settle()
            self.fakes.clock.advance(1300)
            if outcome is Outcome.READY and quiet and not self._rotates():
                break
        else:
            insist(
                holds=False,
                promise=f"comes to rest: {self.fakes.conditions()} {self.fakes.all_writes()}",
            )
        for mode in ReconcileMode:
            self.fakes.forget_writes()
            outcome = await self.attempt(reconcile(self.ports, KEY, mode), None)
            insist(outcome in {Outcome.READY, Outcome.UNCHANGED}, "stays ready")
            insist(self.fakes.all_writes() == [], "silent at rest")
        self.people.insist_nothing_lost()
        await self.insist_as_if_new()

    async def heal_by_external_checks(self) -> None:
        """External checks find a change outside the cluster, without a full reconciliation."""
        self.note(self.people.break_outside())
        for _ in range(PATIENCE):
            self.fakes.forget_writes()
            outcome = await self.attempt(
                reconcile(self.ports, KEY, ReconcileMode.EXTERNAL_CHECK), None
            )
            quiet = self.fakes.all_writes() == []
            self.fakes.cluster.settle()
            self.fakes.clock.advance(20)
            if outcome in {Outcome.READY, Outcome.UNCHANGED} and quiet:
                break
        else:
            insist(holds=False, promise=f"external checks come to rest: {self.fakes.conditions()}")
        await self.insist_as_if_new()

    def _rotates(self) -> bool:
        """Whether the operator is not yet through with a rotation, or with a request for one."""
        told = {
            entry["type"]: entry["reason"]
            for entry in self.fakes.cluster.get(*RESOURCE)["status"]["conditions"]
        }
        asked = (
            self.fakes.cluster.get(*RESOURCE)["metadata"]
            .get("annotations", {})
            .get(ROTATE_ANNOTATION, "")
        )
        noted = self.fakes.cluster.get("Secret", "clinic-service")["metadata"]["annotations"][
            "healthingest.dev/rotated"
        ]
        # Where the service's Secret was lost meanwhile the phases are over before the grace of the
        # consumers' old user.
        spare = len([path for path in self.fakes.broker.things if path[0] == "users"]) > _USERS
        return (
            told["SecretsReady"] == Reason.CREDENTIALS_ROTATING
            or (asked != noted and bool(asked))
            or spare
        )

    def _insist_logins_as_in_secrets(self) -> None:
        """What the Secrets say is valid, and nothing else."""
        service = decode(self.fakes.cluster.get("Secret", "clinic-service"))
        consumer = decode(self.fakes.cluster.get("Secret", "clinic-consumer"))
        insist(
            self.fakes.database.logins == {service[env.DATABASE_URL]}, "one login of the database"
        )
        users = {
            path[1]: body for path, body in self.fakes.broker.things.items() if path[0] == "users"
        }
        wanted = {
            user_of(service[env.BROKER_URL]) or "": password_of(service[env.BROKER_URL]) or "",
            consumer["username"]: consumer["password"],
        }
        insist(set(users) == set(wanted), f"users of the broker: {sorted(users)}")
        for user, password in wanted.items():
            insist(is_password(users[user], password), f"the password of {user}")

    async def insist_as_if_new(self) -> None:
        """What is there is what new fakes would have; nothing is missing, and nothing leaked."""
        new = OperatorFakes(**self.fakes.cluster.get("HealthIngest", KEY.name)["spec"])
        await new.until_ready()
        await new.reconcile()
        ours = {
            entry
            for entry in self.fakes.cluster.objects
            if entry[0] not in {"Job", "Pod", "HealthIngest"}
        }
        theirs = {
            entry for entry in new.cluster.objects if entry[0] not in {"Job", "Pod", "HealthIngest"}
        }
        insist(ours == theirs, f"children as in new fakes: {sorted(ours ^ theirs)}")
        insist(
            len(self.fakes.cluster.names("Job")) <= 1, "one migration, and no failed one after it"
        )
        bucket = self.fakes.store.buckets["clinic-data"]
        # A key that was generated before a crash and not written is lost, so it may be a later one.
        key = decode(self.fakes.cluster.get("Secret", erasure_key_secret(KEY)))[ENTRY]
        tags = {**new.store.buckets["clinic-data"].tags, ERASURE_KEY_TAG: fingerprint_of(key)}
        wanted = replace(new.store.buckets["clinic-data"], tags=tags)
        insist(bucket == wanted, f"the bucket as in new fakes: {bucket}")
        self.people.insist_broker_like(new)
        self._insist_logins_as_in_secrets()

    async def end(self) -> None:
        """A deletion ends, whatever fails, and takes away what is its own alone."""
        self.faults = self.chance.choice([0.0, 0.05, 0.3])
        body = self.fakes.cluster.get("HealthIngest", KEY.name)
        body["metadata"]["deletionTimestamp"] = self.fakes.clock.now().strftime(
            "%Y-%m-%dT%H:%M:%SZ"
        )
        began = self.fakes.clock.now()
        left = None
        while left is None:
            kill = self.chance.randint(1, 25) if self.chance.random() < 0.5 else None
            if self.fakes.clock.now() - began > DEADLINE:
                kill = None
                self.faults = 0.0  # who is killed for ever cannot end anything
            finalized = await self.attempt(finalize(self.ports, body, DEADLINE), kill)
            if finalized is not None and finalized.may_remove_finalizer:
                left = finalized.left_behind
            self.fakes.clock.advance(5)
            insist(self.fakes.clock.now() - began < 2 * DEADLINE, "a deletion ends")
        self.people.insist_nothing_lost()
        if not [text for text in left if "simulated" in text]:
            self.insist_nothing_leaked()

    def insist_nothing_leaked(self) -> None:
        """Users are gone, and the marks of the owner."""
        broker = self.fakes.broker
        store = self.fakes.store
        insist(not [path for path in broker.things if path[0] == "users"], "no user is left")
        tags = broker.things.get(("vhosts", "clinic"), {}).get("tags", ())
        insist(
            not [tag for tag in tags if tag.startswith(HOST_TAG)], "the virtual host is nobody's"
        )
        insist(OWNER_TAG not in store.buckets["clinic-data"].tags, "the bucket is nobody's")

    async def run(self) -> str:
        """All of it; returns the digest of what happened."""
        if self.chance.random() < 0.6:
            await self.rest()
        await self.chaos()
        await self.rest()
        await self.heal_by_external_checks()
        if self.chance.random() < 0.7:
            await self.end()
        return self.digest


def replay(seed: int) -> str:
    """
    The history of *seed*, and its digest.

    Raises:
        BrokenPromiseError: the operator broke a promise.
    """
    return asyncio.run(History(seed).run())
