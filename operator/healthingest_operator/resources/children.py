"""The children of a HealthIngest, in the order in which they are created."""

from typing import Final

from healthingest_operator.api.healthingest import HealthIngest
from healthingest_operator.api.manifest import Manifest
from healthingest_operator.resources import http_route
from healthingest_operator.resources.autoscaler import api_autoscaler
from healthingest_operator.resources.comparison import stamped
from healthingest_operator.resources.configuration import config_map_object
from healthingest_operator.resources.deployment import api_deployment
from healthingest_operator.resources.disruption_budget import api_disruption_budget
from healthingest_operator.resources.ingress import api_ingress
from healthingest_operator.resources.network_policy import Ports, network_policies
from healthingest_operator.resources.pods import Build
from healthingest_operator.resources.relay import relay_deployment
from healthingest_operator.resources.service import api_service
from healthingest_operator.resources.service_account import service_account

KINDS: Final = (
    ("v1", "ConfigMap"),
    ("v1", "ServiceAccount"),
    ("v1", "Service"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("policy/v1", "PodDisruptionBudget"),
    ("batch/v1", "Job"),
    ("apps/v1", "Deployment"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("networking.k8s.io/v1", "Ingress"),
)
"""Kinds that are listed and pruned; not Secrets, which the operator may not list."""

OPTIONAL_KINDS: Final = ((http_route.API_VERSION, http_route.KIND),)
"""Kinds that a cluster may not have; they are listed and pruned where it has them."""


def foundations(owner: HealthIngest, config: dict[str, str], ports: Ports) -> list[Manifest]:
    """Return the children without pods, which need no ready dependency."""
    objects = [
        config_map_object(owner, config),
        api_service(owner),
        api_disruption_budget(owner),
        *network_policies(owner, ports),
    ]
    if owner.spec.service_account.name is None:
        objects.append(service_account(owner))
    if owner.spec.ingress is not None:
        objects.append(api_ingress(owner, owner.spec.ingress))
    return [stamped(child) for child in objects]


def route(owner: HealthIngest) -> Manifest | None:
    """Return the HTTPRoute; None: the spec has none."""
    wanted = owner.spec.http_route
    return None if wanted is None else stamped(http_route.api_http_route(owner, wanted))


def workload(owner: HealthIngest, build: Build) -> list[Manifest]:
    """Return the children that run pods or scale them."""
    objects = [api_deployment(owner, build), relay_deployment(owner, build)]
    if owner.spec.autoscaling is not None:
        objects.append(api_autoscaler(owner, owner.spec.autoscaling))
    return [stamped(child) for child in objects]
