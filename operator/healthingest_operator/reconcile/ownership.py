"""Ownership of a bucket or virtual host that two HealthIngests name: the older one owns it."""

from healthingest_operator.api.healthingest import HealthIngest, InvalidSpecError, Key, parse
from healthingest_operator.reconcile.errors import ClusterError
from healthingest_operator.reconcile.ports import Cluster

_REFUSED = frozenset({401, 403, 404})


async def outranked(cluster: Cluster, owner: HealthIngest, owner_id: str) -> bool:
    """
    Whether *owner* may take over a resource of *owner_id*, the `namespace/name` of its owner.

    It may take over only from a younger HealthIngest in this cluster. A missing owner may exist in
    another cluster that shares the broker or store, and a deleted one releases its resources
    itself.

    Raises:
        ClusterError: the Kubernetes API failed.
    """
    namespace, _, name = owner_id.partition("/")
    try:
        body = await cluster.health_ingest(Key(namespace, name))
    except ClusterError as error:
        if error.status not in _REFUSED:
            raise
        return False
    if body is None or body["metadata"].get("deletionTimestamp"):
        return False
    try:
        other = parse(body)
    except InvalidSpecError:
        return False
    return (owner.created, owner.uid) < (other.created, other.uid)
