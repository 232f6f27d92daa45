"""
The objects that the operator wants, built as the operator builds them.

No Secret is read: what the operator takes from one is taken from the live objects.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from healthingest_contract import environment as env
from healthingest_contract.conditions import ConditionType
from healthingest_operator.api.healthingest import HealthIngest, InvalidSpecError, parse
from healthingest_operator.resources import names
from healthingest_operator.resources.bucket import Capability
from healthingest_operator.resources.children import foundations, route, workload
from healthingest_operator.resources.configuration import Surroundings, configuration, service_url
from healthingest_operator.resources.kept_store import keep_store
from healthingest_operator.resources.network_policy import AWS, Ports, ports_in
from healthingest_operator.resources.pods import DIGEST_ANNOTATION, Build
from healthingest_plugin.errors import PluginError
from healthingest_plugin.model import KubernetesObject, Snapshot
from healthingest_plugin.operator_state import serves, variable

IMAGE_VARIABLE: Final = "HEALTHINGEST_OPERATOR_SERVICE_IMAGE"
UNKNOWN: Final = "unknown"
"""Stands for a value from a Secret that no live object has."""
Live = Mapping[tuple[str, str], KubernetesObject]
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Desired:
    """
    What the operator wants.

    `taken` are paths, by kind and name of the object, whose values were taken from the live object.
    """

    owner: HealthIngest
    objects: tuple[dict[str, Any], ...]
    taken: Mapping[tuple[str, str], Path]


def desired(snapshot: Snapshot) -> Desired:
    """
    Return what the operator wants.

    Raises:
        PluginError: the spec is invalid.
    """
    try:
        owner = parse(snapshot.body)
    except InvalidSpecError as error:
        message = f"{snapshot.ref}: {error}: correct the spec; until then nothing is changed"
        raise PluginError(message) from error
    live = live_objects(snapshot)
    settings = ("ConfigMap", names.config_map(owner.key))
    config = _config(owner, snapshot, live.get(settings))
    ports = _ports(owner, live)
    bucket = snapshot.conditions.get(ConditionType.BUCKET_READY.value) or {}
    if bucket.get("status") == "False":
        config, ports = keep_store(live.get(settings), config, ports)
    build = Build(
        _image(owner, snapshot, live),
        _digest(live.get(("Deployment", f"{owner.key.name}-{names.API}"))),
        _digest(live.get(("Deployment", f"{owner.key.name}-{names.RELAY}"))),
        UNKNOWN,
    )
    template: Path = ("spec", "template", "metadata", "annotations", DIGEST_ANNOTATION)
    taken: dict[tuple[str, str], Path] = {settings: ("data", env.BROKER_ENDPOINT)}
    for component in (names.API, names.RELAY, names.MIGRATE):
        taken["NetworkPolicy", f"{owner.key.name}-{component}"] = ("spec", "egress")
        taken["Deployment", f"{owner.key.name}-{component}"] = template
    way_in = route(owner)
    objects = (
        *foundations(owner, config, ports),
        *((way_in,) if way_in else ()),
        *workload(owner, build),
    )
    return Desired(owner, objects, taken)


def live_objects(snapshot: Snapshot) -> dict[tuple[str, str], KubernetesObject]:
    """Return the children by kind and name."""
    return {(child["kind"], child["metadata"]["name"]): child for child in snapshot.children}


def _config(
    owner: HealthIngest, snapshot: Snapshot, live: KubernetesObject | None
) -> dict[str, str]:
    data = (live or {}).get("data") or {}
    lacking = (snapshot.status.get("objectStore") or {}).get("missingCapabilities") or ()
    around = Surroundings(
        data.get(env.BROKER_ENDPOINT, UNKNOWN),
        service_url(owner),
        Capability.ENCRYPTION.value not in lacking,
    )
    return configuration(owner.spec, around)


def _ports(owner: HealthIngest, live: Live) -> Ports:
    """Return the ports of all addresses: that of the store from the spec, others from policies."""
    store = ports_in(owner.spec.object_store.endpoint or AWS)
    outward = {
        component: _outward(live.get(("NetworkPolicy", f"{owner.key.name}-{component}")))
        for component in (names.API, names.RELAY, names.MIGRATE)
    }
    database = outward[names.MIGRATE]
    return {
        "store": store,
        "database": tuple(sorted(database)),
        "broker": tuple(sorted(outward[names.RELAY] - database - set(store))),
        "cache": tuple(sorted(outward[names.API] - database - set(store))),
    }


def _outward(policy: KubernetesObject | None) -> set[int]:
    """Return the ports on which a policy lets pods leave the cluster."""
    rules: Iterable[KubernetesObject] = ((policy or {}).get("spec") or {}).get("egress") or ()
    return {
        port["port"]
        for rule in rules
        if any("ipBlock" in peer for peer in rule.get("to") or ())
        for port in rule.get("ports") or ()
    }


def _image(owner: HealthIngest, snapshot: Snapshot, live: Live) -> str:
    if owner.spec.image:
        return owner.spec.image
    for deployment in snapshot.operator.deployments or ():
        image = variable(deployment, IMAGE_VARIABLE)
        if image and serves(deployment, snapshot.namespace):
            return image
    api = live.get(("Deployment", f"{owner.key.name}-{names.API}"))
    if api is None:
        return UNKNOWN
    return str(api["spec"]["template"]["spec"]["containers"][0]["image"])


def _digest(deployment: KubernetesObject | None) -> str:
    if deployment is None:
        return UNKNOWN
    metadata = deployment["spec"]["template"].get("metadata") or {}
    return str((metadata.get("annotations") or {}).get(DIGEST_ANNOTATION, UNKNOWN))
