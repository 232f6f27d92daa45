"""What people and other programs do to a HealthIngest and to what it stands on."""

import random

from healthingest_contract import environment as env
from healthingest_contract.conditions import ROTATE_ANNOTATION
from healthingest_operator.resources import bucket
from support.operator_fakes import KEY, USER_SECRETS, OperatorFakes


class People:
    """They act between reconciliations; each action says what it was."""

    def __init__(self, fakes: OperatorFakes, chance: random.Random) -> None:
        self._fakes = fakes
        self._chance = chance
        self._messages: dict[str, int] = {}
        self._unmarked: set[str] = set()

    def do_something(self) -> str:
        """One to three things."""
        actions = [
            self._change_spec,
            self._change_spec,
            self._break_child,
            self._break_broker,
            self._break_bucket,
            self._add_something,
            self._publish,
            self._consume,
            self._touch_secret,
            self._ask_for_rotation,
            self._break_migration,
        ]
        chosen = [self._chance.choice(actions) for _ in range(self._chance.randint(0, 3))]
        return "; ".join(action() for action in chosen)

    def break_outside(self) -> str:
        """Something of which no watch tells."""
        return self._chance.choice([self._break_broker, self._break_bucket])()

    def mend(self) -> None:
        """Everything outside works, the spec is sound, and nothing is paused."""
        for name, values in USER_SECRETS.items():
            if ("Secret", KEY.namespace, name) not in self._fakes.cluster.objects:
                self._fakes.cluster.secret(name, values)
        self._fakes.cluster.migration_fails = False
        live = self._fakes.cluster.get("HealthIngest", KEY.name)
        spec = {name: value for name, value in live["spec"].items() if name != "paused"}
        self._set_spec(spec)

    def insist_nothing_lost(self) -> None:
        """
        No queue with messages was ever removed by the operator, and no bucket or virtual host.

        Raises:
            AssertionError: data was lost.
        """
        assert "clinic-data" in self._fakes.store.buckets or not self._fakes.cluster.names(
            "Deployment"
        )
        for queue, count in self._messages.items():
            live = self._fakes.broker.things.get(("queues", "clinic", queue))
            assert live is not None, f"queue {queue} was lost with {count} messages"
            assert live["messages"] == count

    def insist_broker_like(self, new: OperatorFakes) -> None:
        """
        The broker has what new fakes has, what has messages, and what is of others.

        Raises:
            AssertionError: something is missing or leaked.
        """
        full = {
            f"{name}{end}" for name in {*self._messages, *self._unmarked} for end in ("", ".dead")
        }
        policies = {f"healthingest-{name}" for name in full}

        def of_the_operator(path: tuple[str, ...]) -> bool:
            return "foreign" not in path and path[-1] not in full | policies

        # A rotation leaves one of the two names of each user, and no more.
        paths = [path for path in self._fakes.broker.things if of_the_operator(path)]
        ours = {(*path[:-1], path[-1].removesuffix("-b")) for path in paths}
        assert len(ours) == len(paths), f"two users for one: {sorted(paths)}"
        theirs = {path for path in new.broker.things if of_the_operator(path)}
        assert ours == theirs, f"on the broker: {sorted(ours ^ theirs)}"
        bound = {
            entry
            for entry in self._fakes.broker.bindings
            if entry[1] != "foreign" and entry[1] not in full
        }
        wanted = {entry for entry in new.broker.bindings if entry[1] not in full}
        assert bound == wanted, f"bindings: {sorted(bound ^ wanted)}"

    def _set_spec(self, spec: dict[str, object]) -> None:
        live = self._fakes.cluster.get("HealthIngest", KEY.name)
        if live["spec"] != spec:
            live["spec"] = spec
            live["metadata"]["generation"] += 1

    def _change_spec(self) -> str:
        live = self._fakes.cluster.get("HealthIngest", KEY.name)
        queues = [{"name": name} for name in self._chance.sample(["processing", "audit", "lab"], 2)]
        field, value = self._chance.choice(
            [
                ("image", self._chance.choice(["service:2", "service:3"])),
                ("replicas", self._chance.randint(1, 5)),
                ("limits", {"uploads": self._chance.choice(["1/minute", "7/hour"])}),
                ("paused", self._chance.random() < 0.5),
                ("autoscaling", {"maxReplicas": self._chance.randint(2, 9)}),
                ("autoscaling", None),
                ("ingress", self._chance.choice([None, {"host": "a.example"}])),
                ("broker", live["spec"]["broker"] | {"queues": queues}),
            ]
        )
        spec = {name: old for name, old in live["spec"].items() if name != field}
        self._set_spec(spec if value is None else {**spec, field: value})
        return f"spec.{field} = {value}"

    def _break_child(self) -> str:
        objects = self._fakes.cluster.objects
        spared = {"HealthIngest", "Pod"}
        users = set(USER_SECRETS)
        names = sorted(
            entry for entry in objects if entry[0] not in spared and entry[2] not in users
        )
        if not names:
            return "no child"
        chosen = self._chance.choice(names)
        if chosen[0] == "ConfigMap":
            objects[chosen]["data"][env.LIMITS_UPLOADS] = "999/second"
            return f"changed {chosen}"
        del objects[chosen]
        return f"removed {chosen}"

    def _break_broker(self) -> str:
        broker = self._fakes.broker
        kept = {("queues", "clinic", name) for name in self._messages} | {("vhosts", "clinic")}
        things = sorted(path for path in broker.things if path not in kept)
        if broker.bindings and self._chance.random() < 0.3:
            lost = self._chance.choice(sorted(broker.bindings))
            broker.bindings.discard(lost)
            return f"unbound {lost}"
        if not things:
            return "nothing on the broker"
        chosen = self._chance.choice(things)
        if chosen[0] == "policies":
            # Taken out of the spec before the mark is back, the queue is nobody's that the operator
            # knows: it stays.
            self._unmarked.add(chosen[-1].removeprefix("healthingest-"))
        del broker.things[chosen]
        if chosen[0] == "users":
            broker.things = {
                path: body
                for path, body in broker.things.items()
                if path[::2] != ("permissions", chosen[1])
            }
        if chosen[0] == "queues":
            broker.bindings = {entry for entry in broker.bindings if entry[1] != chosen[-1]}
        return f"removed {chosen}"

    def _break_bucket(self) -> str:
        buckets = self._fakes.store.buckets
        if "clinic-data" in buckets:
            buckets["clinic-data"] = self._chance.choice(
                [bucket.Observed(), bucket.Observed(tags=dict(buckets["clinic-data"].tags))]
            )
        return "changed the bucket"

    def _add_something(self) -> str:
        broker = self._fakes.broker
        if ("vhosts", "clinic") in broker.things:
            broker.things["queues", "clinic", "foreign"] = {"type": "classic", "messages": 0}
            broker.bindings.add(("health_data_exchange", "foreign", "#"))
        for (kind, _, _), found in sorted(self._fakes.cluster.objects.items()):
            if kind == "Deployment":
                found["metadata"].setdefault("labels", {})["team"] = "a"
        return "added something of their own"

    def _publish(self) -> str:
        queues = sorted(
            path[2]
            for path in self._fakes.broker.things
            if path[0] == "queues" and path[2] != "foreign"
        )
        if not queues:
            return "no queue"
        name = self._chance.choice(queues)
        self._messages[name] = self._messages.get(name, 0) + 1
        self._fakes.broker.things["queues", "clinic", name]["messages"] = self._messages[name]
        return f"published to {name}"

    def _consume(self) -> str:
        for name in sorted(self._messages):
            self._fakes.broker.things["queues", "clinic", name]["messages"] = 0
        self._messages.clear()
        return "consumed everything"

    def _touch_secret(self) -> str:
        name = self._chance.choice(sorted(USER_SECRETS))
        if self._chance.random() < 0.5:
            self._fakes.cluster.objects.pop(("Secret", KEY.namespace, name), None)
            return f"removed Secret {name}"
        values = USER_SECRETS[name]
        if name == "s3":
            values = values | {"secretAccessKey": f"rotated-{self._chance.randint(0, 99)}"}
        self._fakes.cluster.secret(name, values)
        return f"wrote Secret {name}"

    def _ask_for_rotation(self) -> str:
        metadata = self._fakes.cluster.get("HealthIngest", KEY.name)["metadata"]
        token = str(self._chance.randint(0, 9))
        metadata.setdefault("annotations", {})[ROTATE_ANNOTATION] = token
        return f"asked for rotation {token}"

    def _break_migration(self) -> str:
        self._fakes.cluster.migration_fails = self._chance.random() < 0.5
        return f"migration fails: {self._fakes.cluster.migration_fails}"
