"""
Two HealthIngests, one bucket or virtual host.

The oldest owns it, whoever came first to mark it.
"""

from healthingest_operator.api.healthingest import HealthIngest, InvalidSpecError, Key, parse
from healthingest_operator.reconcile.errors import ClusterError
from healthingest_operator.reconcile.ports import Cluster

_REFUSED = frozenset({401, 403, 404})


async def outranked(cluster: Cluster, owner: HealthIngest, mark: str) -> bool:
    """
    Whether *owner* may take over what *mark*, `namespace/name` of another HealthIngest, stands on.

    Only from a younger one that can be seen. One that is not there may live in another cluster
    which shares the broker or the store, and one that is being deleted takes its mark off itself:
    both keep it.

    Raises:
        ClusterError: the Kubernetes API could not be used.
    """
    namespace, _, name = mark.partition("/")
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
