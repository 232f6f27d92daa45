"""
NetworkPolicies: each component may use only the connections that its policy names.

A policy is applied to the pod behind a Service, whose port may differ from that in an address.
Inside the cluster, egress is therefore limited to the namespaces of the cluster, and outside it is
limited by port.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from healthingest_contract import environment as env
from healthingest_contract.database_address import DatabaseAddressError, read_database_address
from healthingest_operator.api.healthingest import HealthIngest
from healthingest_operator.api.manifest import Manifest
from healthingest_operator.resources.configuration import (
    API_PORT,
    JANITOR_METRICS_PORT,
    METRICS_PORT,
)
from healthingest_operator.resources.names import API, MIGRATE, RELAY, metadata, selector
from healthingest_operator.resources.web_identity import agent_egress, token_service_ports

_CLUSTER: Final[Manifest] = {"namespaceSelector": {}}
_OUTSIDE: Final = [
    # The metadata service of clouds, which hands out the node's credentials, has this address.
    {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.169.254/32"]}},
    {"ipBlock": {"cidr": "::/0", "except": ["fd00:ec2::254/128"]}},
]
_NAMES: Final = [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]
_DEFAULT_PORTS: Final = {
    "http": 80,
    "https": 443,
    "amqp": 5672,
    "amqps": 5671,
    "redis": 6379,
    "rediss": 6379,
}
AWS: Final = "https://s3.amazonaws.com"


Ports = Mapping[str, tuple[int, ...]]
"""Ports of `store`, `broker`, `database` and `cache`, from their addresses."""


def port_of(address: str | None) -> int | None:
    """Return the port in an address, or the default port of its scheme; None: no address."""
    if not address:
        return None
    parts = urlsplit(address)
    return parts.port or _DEFAULT_PORTS.get(parts.scheme.partition("+")[0])


def ports_of(owner: HealthIngest, service: Mapping[str, str]) -> Ports:
    """
    Return the ports from the service's Secret.

    It is kept if a user's Secret is missing, and policies must not change then.
    """
    return {
        "store": ports_in(owner.spec.object_store.endpoint or AWS),
        "broker": ports_in(service.get(env.BROKER_URL)),
        "database": _database_ports(service.get(env.DATABASE_URL)),
        "cache": ports_in(service.get(env.CACHE_URL)),
    }


def ports_in(address: str | None) -> tuple[int, ...]:
    """Return the port of an address as a list; empty without an address."""
    port = port_of(address)
    return () if port is None else (port,)


def _database_ports(address: str | None) -> tuple[int, ...]:
    try:
        return read_database_address(address).ports if address else ()
    except DatabaseAddressError:  # an older operator accepted it; a condition reports it
        return ()


def _proxy_ports(owner: HealthIngest) -> tuple[int, ...]:
    """Return the ports of the forward proxy, which the object store may be behind."""
    proxy = owner.spec.proxy
    return () if proxy is None else (*ports_in(proxy.http_proxy), *ports_in(proxy.https_proxy))


def endpoint_of(address: str | None) -> str:
    """Return `host:port` of an address; empty without an address."""
    host = urlsplit(address or "").hostname
    if host is None:
        return ""
    return f"[{host}]:{port_of(address)}" if ":" in host else f"{host}:{port_of(address)}"


def network_policies(owner: HealthIngest, ports: Ports) -> tuple[Manifest, ...]:
    """Return the policies of API, relay and migration."""
    store = [*ports["store"], *_proxy_ports(owner), *token_service_ports(owner.spec)]
    agent = agent_egress(owner.spec)
    traces = ports_in(owner.spec.tracing.endpoint) if owner.spec.tracing else ()
    oidc = owner.spec.accounts.oidc
    providers = [port for one in (oidc.issuers if oidc else ()) for port in ports_in(one.url)]
    api_out = [*store, *ports["database"], *ports["cache"], *traces, *providers]
    mail = [owner.spec.accounts.mail.port] if owner.spec.accounts.mail else []
    return (
        _policy(owner, API, [(API_PORT, None), (METRICS_PORT, _CLUSTER)], api_out, agent),
        _policy(
            owner,
            RELAY,
            [(METRICS_PORT, _CLUSTER), (JANITOR_METRICS_PORT, _CLUSTER)],
            [*store, *ports["database"], *ports["broker"], *mail, *traces],
            agent,
        ),
        _policy(owner, MIGRATE, [], [*ports["database"]], []),
    )


def _policy(
    owner: HealthIngest,
    component: str,
    inward: list[tuple[int, Manifest | None]],
    outward: list[int],
    more: list[Manifest],
) -> Manifest:
    outside = [{"protocol": "TCP", "port": port} for port in sorted(set(outward))]
    egress: list[Manifest] = [{"ports": _NAMES}, {"to": [_CLUSTER]}]
    if outside:
        egress.append({"to": _OUTSIDE, "ports": outside})
    egress += more
    ingress = [
        {"ports": [{"protocol": "TCP", "port": port}]}
        | ({"from": [source]} if source is not None else {})
        for port, source in inward
    ]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(owner, f"{owner.key.name}-{component}", component),
        "spec": {
            "podSelector": {"matchLabels": selector(owner.key, component)},
            "policyTypes": ["Ingress", "Egress"],
            "egress": egress,
            # The server would drop an empty list, and every apply would write it again.
            **({"ingress": ingress} if ingress else {}),
        },
    }
