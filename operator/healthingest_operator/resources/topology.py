"""
The desired topology of the broker, and the resources that are missing.

A queue that differs is not declared again, because it may hold messages: it is a conflict that a
person resolves. `pruning` finds unwanted resources.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, TypeAlias

from healthingest_contract.topology import dead_letter_exchange, dead_letter_queue
from healthingest_operator.api.v1alpha1 import BrokerSpec, QueueSpec

OWNER_TAG: Final = "healthingest-owner:"
"""Tag of a virtual host, followed by namespace/name of the HealthIngest that owns it."""

POLICY_PREFIX: Final = "healthingest-"
"""Prefix of the name of each queue's policy, which shows that the operator created the queue."""

_UNLIMITED_DELIVERIES: Final = 2**31 - 1
"""Practically no limit: RabbitMQ before 4.0 does not know -1, and the default of 4.0 is 20."""
_PRIORITY: Final = 100
_SALT_BYTES: Final = 4
_DEFAULT_ALGORITHM: Final = "rabbit_password_hashing_sha256"
_DIGESTS: Final = {
    _DEFAULT_ALGORITHM: hashlib.sha256,
    "rabbit_password_hashing_sha512": hashlib.sha512,
    "rabbit_password_hashing_md5": hashlib.md5,  # stored by a RabbitMQ before 3.6
}

Attributes: TypeAlias = Mapping[str, Any]
"""Attributes of a resource, as RabbitMQ's management API names them."""

Binding = tuple[str, str, str]
"""Exchange, queue and routing key."""


@dataclass(frozen=True, slots=True)
class Login:
    """A broker user and its permissions, as regular expressions over names."""

    name: str
    password: str = field(repr=False)
    configure: str
    write: str
    read: str


@dataclass(frozen=True, slots=True)
class Topology:
    """The wanted content of a virtual host."""

    virtual_host: str
    owner: str
    administrator: str
    broker: BrokerSpec
    logins: tuple[Login, ...]


@dataclass(frozen=True, slots=True)
class Observed:
    """
    The content of a virtual host, with the attributes of RabbitMQ's management API.

    `virtual_host` None: it does not exist.
    """

    virtual_host: Attributes | None = None
    exchanges: Mapping[str, Attributes] = field(default_factory=dict)
    queues: Mapping[str, Attributes] = field(default_factory=dict)
    bindings: Mapping[Binding, tuple[str, ...]] = field(default_factory=dict)
    """
    The properties keys of each binding, by which it can be removed.

    A binding that was declared several times with different arguments has several keys.
    """
    policies: Mapping[str, Attributes] = field(default_factory=dict)
    users: Mapping[str, Attributes] = field(default_factory=dict)
    permissions: Mapping[str, Attributes] = field(default_factory=dict)

    @property
    def owner(self) -> str | None:
        """The owner in the tags of the virtual host; None: they name none."""
        tags = (self.virtual_host or {}).get("tags") or []
        found = [str(tag) for tag in tags if str(tag).startswith(OWNER_TAG)]
        return found[0].removeprefix(OWNER_TAG) if found else None


class Kind(StrEnum):
    """Kinds of resources on the broker."""

    VIRTUAL_HOST = "virtual host"
    USER = "user"
    PERMISSIONS = "permissions"
    EXCHANGE = "exchange"
    POLICY = "policy"
    QUEUE = "queue"
    BINDING = "binding"


@dataclass(frozen=True, slots=True)
class Resource:
    """
    A resource to create or update.

    `name` is that of the resource, of the user (permissions), or of the queue (binding). `title`
    names the resource for people. `values` are its attributes as RabbitMQ names them; they may hold
    a password.
    """

    kind: Kind
    name: str
    title: str
    values: Attributes = field(repr=False)


@dataclass(frozen=True, slots=True)
class BindingKey:
    """A binding of `queue` to the exchange `source`; `key` is RabbitMQ's properties key."""

    source: str
    queue: str
    key: str

    @property
    def title(self) -> str:
        """Name of the binding, for messages."""
        return f"binding of queue {self.queue}"


@dataclass(frozen=True, slots=True)
class Plan:
    """The missing resources, or the conflicts that forbid every change."""

    resources: tuple[Resource, ...] = ()
    conflicts: tuple[str, ...] = ()


def topology(
    broker: BrokerSpec,
    owner: str,
    administrator: str,
    relays: Mapping[str, str],
    consumers: Mapping[str, str],
) -> Topology:
    """Return the wanted topology; *relays* and *consumers* are passwords by user."""
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
    Return the missing resources, in an order in which each can be created.

    A policy comes before the queue that it applies to.
    """
    conflicts = _conflicts(wanted, observed)
    if conflicts:
        return Plan(conflicts=tuple(conflicts))
    resources = [
        *_virtual_host(wanted, observed),
        *_logins(wanted, observed),
        *_exchanges(wanted, observed),
        *_policies(wanted, observed),
        *_queues(wanted, observed),
        *_bindings(wanted, observed),
    ]
    return Plan(tuple(resources))


def missing_logins(wanted: Topology, observed: Observed) -> list[str]:
    """Return the titles of users and permissions that the broker does not have yet."""
    return [resource.title for resource in _logins(wanted, observed)]


def is_password(user: Attributes, password: str) -> bool:
    """
    Whether the broker has this password.

    `password_hash` is salt (4 bytes) and digest of salt and password, in Base64, by the broker's
    `password_hashing_module`; source: RabbitMQ docs, "Credentials and Passwords". With an unknown
    module it cannot be computed. Then a stored hash counts as correct, and the login as the relay
    shows whether it is.
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


def _differs(queue: Attributes) -> bool:
    """
    Whether a queue has other properties than a plain durable quorum queue.

    Arguments count, because they override policies and cannot be changed.
    """
    arguments = dict(queue.get("arguments") or {})
    kind = arguments.pop("x-queue-type", queue.get("type"))
    return bool(kind != "quorum" or not queue.get("durable") or arguments)


def _virtual_host(wanted: Topology, observed: Observed) -> list[Resource]:
    missing = []
    name = wanted.virtual_host
    owner_tag = f"{OWNER_TAG}{wanted.owner}"
    live = observed.virtual_host
    if live is None:
        body: Attributes = {
            "description": "HealthIngest",
            "tags": owner_tag,
            "default_queue_type": "quorum",
        }
        missing.append(Resource(Kind.VIRTUAL_HOST, name, f"virtual host {name}", body))
    elif observed.owner != wanted.owner:
        missing.append(_tagged(name, live, owner_tag))
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    if not _has(observed.permissions.get(wanted.administrator), everything):
        title = "permissions of the administrator"
        missing.append(Resource(Kind.PERMISSIONS, wanted.administrator, title, everything))
    return missing


def without_owner(observed: Observed, name: str) -> Resource:
    """Return virtual host *name* without its owner tag, so that another owner may adopt it."""
    return _tagged(name, observed.virtual_host or {})


def _tagged(name: str, live: Attributes, *owner_tag: str) -> Resource:
    others = [str(tag) for tag in live.get("tags") or [] if not str(tag).startswith(OWNER_TAG)]
    body = {"description": live.get("description", ""), "tags": ",".join([*others, *owner_tag])}
    return Resource(Kind.VIRTUAL_HOST, name, f"virtual host {name} (tag of its owner)", body)


def _logins(wanted: Topology, observed: Observed) -> list[Resource]:
    missing = []
    for login in wanted.logins:
        user = observed.users.get(login.name)
        if user is None or not is_password(user, login.password):
            body = {"password": login.password, "tags": ""}
            missing.append(Resource(Kind.USER, login.name, f"user {login.name}", body))
        rights = {"configure": login.configure, "write": login.write, "read": login.read}
        if not _has(observed.permissions.get(login.name), rights):
            title = f"permissions of {login.name}"
            missing.append(Resource(Kind.PERMISSIONS, login.name, title, rights))
    return missing


def _exchanges(wanted: Topology, observed: Observed) -> list[Resource]:
    name = wanted.broker.exchange
    return [
        Resource(Kind.EXCHANGE, one, f"exchange {one}", {"type": kind, "durable": True})
        for one, kind in ((dead_letter_exchange(name), "direct"), (name, "topic"))
        if one not in observed.exchanges
    ]


def _policies(wanted: Topology, observed: Observed) -> list[Resource]:
    missing = []
    for queue in wanted.broker.queues:
        for name, definition in (
            (dead_letter_queue(queue.name), dead_queue_definition(queue)),
            (queue.name, queue_definition(wanted.broker, queue)),
        ):
            body = {
                "pattern": f"^{re.escape(name)}$",
                "apply-to": "queues",
                "priority": _PRIORITY,
                "definition": definition,
            }
            if not _has(observed.policies.get(f"{POLICY_PREFIX}{name}"), body):
                policy = f"{POLICY_PREFIX}{name}"
                missing.append(Resource(Kind.POLICY, policy, f"policy of queue {name}", body))
    return missing


def queue_definition(broker: BrokerSpec, queue: QueueSpec) -> Attributes:
    """
    Return the policy definition of a queue; at-least-once dead-lettering needs reject-publish.

    Source: RabbitMQ docs, "Quorum Queues".
    """
    return {
        "dead-letter-exchange": dead_letter_exchange(broker.exchange),
        "dead-letter-routing-key": queue.name,
        "dead-letter-strategy": "at-least-once",
        "overflow": "reject-publish",
        "delivery-limit": queue.delivery_limit,
        "max-length-bytes": queue.max_length_bytes,
    }


def dead_queue_definition(queue: QueueSpec) -> Attributes:
    """Return the policy definition of a dead-letter queue: it never drops messages."""
    return {
        "overflow": "reject-publish",
        "delivery-limit": _UNLIMITED_DELIVERIES,
        "max-length-bytes": queue.max_length_bytes,
    }


def _queues(wanted: Topology, observed: Observed) -> list[Resource]:
    body = {"durable": True, "auto_delete": False, "arguments": {"x-queue-type": "quorum"}}
    return [
        Resource(Kind.QUEUE, name, f"queue {name}", body)
        for queue in wanted.broker.queues
        for name in (dead_letter_queue(queue.name), queue.name)
        if name not in observed.queues
    ]


def wanted_bindings(broker: BrokerSpec) -> list[Binding]:
    """Return the bindings of the spec, and those of the dead-letter queues."""
    dead = dead_letter_exchange(broker.exchange)
    return [
        *(
            (broker.exchange, queue.name, pattern)
            for queue in broker.queues
            for pattern in queue.bindings
        ),
        *((dead, dead_letter_queue(queue.name), queue.name) for queue in broker.queues),
    ]


def _bindings(wanted: Topology, observed: Observed) -> list[Resource]:
    return [
        Resource(
            Kind.BINDING,
            queue,
            f"binding of queue {queue}",
            {"source": source, "routing_key": pattern, "arguments": {}},
        )
        for source, queue, pattern in wanted_bindings(wanted.broker)
        if (source, queue, pattern) not in observed.bindings
    ]


def _has(live: Attributes | None, wanted: Attributes) -> bool:
    return live is not None and all(live.get(name) == value for name, value in wanted.items())
