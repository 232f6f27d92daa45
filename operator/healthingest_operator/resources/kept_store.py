"""The object store that pods use until a newly configured store is ready."""

from healthingest_contract import environment as env
from healthingest_operator.api.manifest import ManifestView
from healthingest_operator.resources.network_policy import AWS, Ports, ports_in


def keep_store(
    live: ManifestView | None, wanted: dict[str, str], ports: Ports
) -> tuple[dict[str, str], Ports]:
    """
    Return *wanted* and *ports* with the object store of *live*; without *live*, unchanged.

    *live* is the ConfigMap of the running pods.
    """
    known = (live or {}).get("data") or {}
    kept = {name: known[name] for name in (env.STORE_ENDPOINT, env.STORE_REGION) if name in known}
    endpoint = kept.get(env.STORE_ENDPOINT)
    return wanted | kept, ports if endpoint is None else {
        **ports,
        "store": ports_in(endpoint or AWS),
    }
