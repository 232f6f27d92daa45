"""
What is wanted on the broker, and the calls that are missing for it.

Calls are those of RabbitMQ's management HTTP API (docs: "HTTP API Reference", 3.10 to 4.x). No
queue is ever re-declared: one that differs is a conflict for people to solve, for it may hold
messages. What is no longer wanted is the business of `pruning`.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from healthingest_contract.topology import dead_letter_exchange, dead_letter_queue
from healthingest_operator.api.v1alpha1 import BrokerSpec, QueueSpec

OWNER_TAG: Final = "healthingest-owner:"
"""Tag of a virtual host, followed by namespace/name of the HealthIngest that owns it."""

POLICY_PREFIX: Final = "healthingest-"
"""Of the policy of each queue; it tells for ever that the operator made the queue."""

_NEVER: Final = 2**31 - 1
"""A delivery limit that is none: -1 is unknown before 4.0, and 4.0 has 20 as its default."""
_PRIORITY: Final = 100
_SALT_BYTES: Final = 4
_DEFAULT_ALGORITHM: Final = "rabbit_password_hashing_sha256"
_DIGESTS: Final = {
    _DEFAULT_ALGORITHM: hashlib.sha256,
    "rabbit_password_hashing_sha512": hashlib.sha512,
    "rabbit_password_hashing_md5": hashlib.md5,  # of a broker that was upgraded from before 3.6
}

Binding = tuple[str, str, str]
"""Exchange, queue and routing key."""


@dataclass(frozen=True, slots=True)
class Login:
    """A user of the broker and what it may do, as regular expressions over names."""

    name: str
    password: str = field(repr=False)
    configure: str
    write: str
    read: str


@dataclass(frozen=True, slots=True)
class Topology:
    """Everything that is wanted in a virtual host."""

    virtual_host: str
    owner: str
    administrator: str
    broker: BrokerSpec
    logins: tuple[Login, ...]


@dataclass(frozen=True, slots=True)
class Observed:
    """
    What a virtual host has; values are those of the management API.

    `virtual_host` None: there is none.
    """

    virtual_host: Mapping[str, Any] | None = None
    exchanges: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    queues: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    bindings: Mapping[Binding, tuple[str, ...]] = field(default_factory=dict)
    """
    Each with the keys by which it can be removed.

    More than one when it was made with several arguments.
    """
    policies: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    users: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    permissions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def owner(self) -> str | None:
        """Whose the virtual host is, as its tags say; None when they say nothing."""
        tags = (self.virtual_host or {}).get("tags") or []
        found = [str(tag) for tag in tags if str(tag).startswith(OWNER_TAG)]
        return found[0].removeprefix(OWNER_TAG) if found else None


@dataclass(frozen=True, slots=True)
class Call:
    """One idempotent call; `what` names the thing for people, the body may hold a password."""

    method: str
    path: tuple[str, ...]
    body: Mapping[str, Any] = field(repr=False)
    what: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, or why nothing may be done."""

    calls: tuple[Call, ...] = ()
    conflicts: tuple[str, ...] = ()


def topology(
    broker: BrokerSpec,
    owner: str,
    administrator: str,
    relays: Mapping[str, str],
    consumers: Mapping[str, str],
) -> Topology:
    """The wanted topology; *relays* and *consumers* are passwords by user."""
    queues = [
        name for queue in broker.queues for name in (queue.name, dead_letter_queue(queue.name))
    ]
    read = f"^({'|'.join(re.escape(name) for name in queues)})$" if queues else "^$"
    logins = (
        *(
            Login(user, word, "^$", f"^{re.escape(broker.exchange)}$", "^$")
            for user, word in relays.items()
        ),
        *(Login(user, word, "^$", "^$", read) for user, word in consumers.items()),
    )
    return Topology(broker.virtual_host, owner, administrator, broker, logins)


def plan(wanted: Topology, observed: Observed) -> Plan:
    """
    Missing calls, in an order in which each can succeed.

    Policies stand before the queues they apply to.
    """
    conflicts = _conflicts(wanted, observed)
    if conflicts:
        return Plan(conflicts=tuple(conflicts))
    calls = [
        *_virtual_host(wanted, observed),
        *_logins(wanted, observed),
        *_exchanges(wanted, observed),
        *_policies(wanted, observed),
        *_queues(wanted, observed),
        *_bindings(wanted, observed),
    ]
    return Plan(tuple(calls))


def missing_logins(wanted: Topology, observed: Observed) -> list[str]:
    """What the broker does not know yet of the logins."""
    return [call.what for call in _logins(wanted, observed)]


def is_password(user: Mapping[str, Any], password: str) -> bool:
    """
    Whether the broker knows this password.

    Salt (4 bytes) and digest of salt and password, in Base64, by the broker's
    `password_hashing_module`; source: RabbitMQ docs, "Credentials and Passwords". Of a module that
    is not known here, e.g. one of the broker's owner, nobody can say: then the password that was
    set once holds, and the login as the relay shows whether it does.
    """
    made = _DIGESTS.get(user.get("hashing_algorithm", _DEFAULT_ALGORITHM))
    if made is None:
        return bool(user.get("password_hash"))
    try:
        known = base64.b64decode(user.get("password_hash", ""), validate=True)
    except ValueError:
        return False
    return known[:_SALT_BYTES] + made(known[:_SALT_BYTES] + password.encode()).digest() == known


def _conflicts(wanted: Topology, observed: Observed) -> list[str]:
    found = []
    for name, kind in (
        (wanted.broker.exchange, "topic"),
        (dead_letter_exchange(wanted.broker.exchange), "direct"),
    ):
        exchange = observed.exchanges.get(name)
        if exchange is not None and (exchange.get("type") != kind or not exchange.get("durable")):
            found.append(f"exchange {name} exists but is not a durable {kind} exchange")
    for queue in wanted.broker.queues:
        for name in (queue.name, dead_letter_queue(queue.name)):
            live = observed.queues.get(name)
            if live is not None and _differs(live):
                found.append(f"queue {name} exists but is not a plain durable quorum queue")
    return found


def _differs(queue: Mapping[str, Any]) -> bool:
    """No arguments: those given at declaration override policies and cannot be changed."""
    arguments = dict(queue.get("arguments") or {})
    kind = arguments.pop("x-queue-type", queue.get("type"))
    return bool(kind != "quorum" or not queue.get("durable") or arguments)


def _virtual_host(wanted: Topology, observed: Observed) -> list[Call]:
    calls = []
    name = wanted.virtual_host
    mark = f"{OWNER_TAG}{wanted.owner}"
    live = observed.virtual_host
    if live is None:
        body: dict[str, Any] = {
            "description": "HealthIngest",
            "tags": mark,
            "default_queue_type": "quorum",
        }
        calls.append(Call("PUT", ("vhosts", name), body, f"virtual host {name}"))
    elif observed.owner != wanted.owner:
        others = [str(tag) for tag in live.get("tags") or [] if not str(tag).startswith(OWNER_TAG)]
        tags = ",".join([*others, mark])
        body = {"description": live.get("description", ""), "tags": tags}
        calls.append(Call("PUT", ("vhosts", name), body, f"virtual host {name} (tag of its owner)"))
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    if not _has(observed.permissions.get(wanted.administrator), everything):
        path = ("permissions", name, wanted.administrator)
        calls.append(Call("PUT", path, everything, "permissions of the administrator"))
    return calls


def _logins(wanted: Topology, observed: Observed) -> list[Call]:
    calls = []
    for login in wanted.logins:
        user = observed.users.get(login.name)
        if user is None or not is_password(user, login.password):
            body = {"password": login.password, "tags": ""}
            calls.append(Call("PUT", ("users", login.name), body, f"user {login.name}"))
        rights = {"configure": login.configure, "write": login.write, "read": login.read}
        if not _has(observed.permissions.get(login.name), rights):
            path = ("permissions", wanted.virtual_host, login.name)
            calls.append(Call("PUT", path, rights, f"permissions of {login.name}"))
    return calls


def _exchanges(wanted: Topology, observed: Observed) -> list[Call]:
    name = wanted.broker.exchange
    return [
        Call(
            "PUT",
            ("exchanges", wanted.virtual_host, one),
            {"type": kind, "durable": True},
            f"exchange {one}",
        )
        for one, kind in ((dead_letter_exchange(name), "direct"), (name, "topic"))
        if one not in observed.exchanges
    ]


def _policies(wanted: Topology, observed: Observed) -> list[Call]:
    calls = []
    for queue in wanted.broker.queues:
        for name, definition in (
            (dead_letter_queue(queue.name), _dead_definition(queue)),
            (queue.name, _definition(wanted.broker, queue)),
        ):
            body = {
                "pattern": f"^{re.escape(name)}$",
                "apply-to": "queues",
                "priority": _PRIORITY,
                "definition": definition,
            }
            if not _has(observed.policies.get(f"{POLICY_PREFIX}{name}"), body):
                path = ("policies", wanted.virtual_host, f"{POLICY_PREFIX}{name}")
                calls.append(Call("PUT", path, body, f"policy of queue {name}"))
    return calls


def _definition(broker: BrokerSpec, queue: QueueSpec) -> dict[str, Any]:
    """At-least-once dead-lettering needs reject-publish; RabbitMQ docs, "Quorum Queues"."""
    return {
        "dead-letter-exchange": dead_letter_exchange(broker.exchange),
        "dead-letter-routing-key": queue.name,
        "dead-letter-strategy": "at-least-once",
        "overflow": "reject-publish",
        "delivery-limit": queue.delivery_limit,
        "max-length-bytes": queue.max_length_bytes,
    }


def _dead_definition(queue: QueueSpec) -> dict[str, Any]:
    """Looking at a dead letter, however often, must not drop it."""
    return {
        "overflow": "reject-publish",
        "delivery-limit": _NEVER,
        "max-length-bytes": queue.max_length_bytes,
    }


def _queues(wanted: Topology, observed: Observed) -> list[Call]:
    body = {"durable": True, "auto_delete": False, "arguments": {"x-queue-type": "quorum"}}
    return [
        Call("PUT", ("queues", wanted.virtual_host, name), body, f"queue {name}")
        for queue in wanted.broker.queues
        for name in (dead_letter_queue(queue.name), queue.name)
        if name not in observed.queues
    ]


def wanted_bindings(broker: BrokerSpec) -> list[Binding]:
    """All bindings of the spec, and those of the dead-letter queues."""
    dead = dead_letter_exchange(broker.exchange)
    return [
        *(
            (broker.exchange, queue.name, pattern)
            for queue in broker.queues
            for pattern in queue.bindings
        ),
        *((dead, dead_letter_queue(queue.name), queue.name) for queue in broker.queues),
    ]


def _bindings(wanted: Topology, observed: Observed) -> list[Call]:
    return [
        Call(
            "POST",
            ("bindings", wanted.virtual_host, "e", source, "q", queue),
            {"routing_key": pattern, "arguments": {}},
            f"binding of queue {queue}",
        )
        for source, queue, pattern in wanted_bindings(wanted.broker)
        if (source, queue, pattern) not in observed.bindings
    ]


def _has(live: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> bool:
    return live is not None and all(live.get(name) == value for name, value in wanted.items())
