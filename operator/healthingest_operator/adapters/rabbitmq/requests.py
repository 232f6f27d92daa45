"""
Requests of RabbitMQ's management API that create, update or remove a resource.

Source: RabbitMQ docs, "HTTP API Reference", 3.10 to 4.x.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from healthingest_operator.resources.topology import POLICY_PREFIX, BindingKey, Kind, Resource

_COLLECTIONS: Final = {
    Kind.PERMISSIONS: "permissions",
    Kind.EXCHANGE: "exchanges",
    Kind.POLICY: "policies",
    Kind.QUEUE: "queues",
}
"""Collections whose members belong to a virtual host and have a name."""


@dataclass(frozen=True, slots=True)
class Request:
    """One idempotent request; the body may hold a password, and `title` names the resource."""

    method: str
    path: tuple[str, ...]
    body: Mapping[str, Any] | None = field(repr=False)
    title: str


def ensure(virtual_host: str, resource: Resource) -> Request:
    """Return the request that creates or updates *resource*."""
    if resource.kind is Kind.BINDING:
        body = dict(resource.values)
        source = str(body.pop("source"))
        between = ("bindings", virtual_host, "e", source, "q", resource.name)
        return Request("POST", between, body, resource.title)
    return Request("PUT", _path(virtual_host, resource), resource.values, resource.title)


def remove_binding(virtual_host: str, binding: BindingKey) -> Request:
    """Return the request that removes one binding."""
    path = ("bindings", virtual_host, "e", binding.source, "q", binding.queue, binding.key)
    return Request("DELETE", path, None, binding.title)


def remove_policy(virtual_host: str, queue: str) -> Request:
    """Return the request that removes the operator's policy of *queue*."""
    path = ("policies", virtual_host, f"{POLICY_PREFIX}{queue}")
    return Request("DELETE", path, None, f"policy of queue {queue}")


def remove_user(user: str) -> Request:
    """Return the request that removes *user* with its permissions."""
    return Request("DELETE", ("users", user), None, f"user {user}")


def remove_virtual_host(virtual_host: str) -> Request:
    """Return the request that removes *virtual_host* with everything in it."""
    return Request("DELETE", ("vhosts", virtual_host), None, f"virtual host {virtual_host}")


def remove_queue(virtual_host: str, queue: str) -> Request:
    """Return the request that removes *queue* with its messages."""
    return Request("DELETE", ("queues", virtual_host, queue), None, f"queue {queue}")


def _path(virtual_host: str, resource: Resource) -> tuple[str, ...]:
    if resource.kind is Kind.VIRTUAL_HOST:
        return ("vhosts", resource.name)
    if resource.kind is Kind.USER:
        return ("users", resource.name)
    return (_COLLECTIONS[resource.kind], virtual_host, resource.name)
