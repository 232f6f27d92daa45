"""
The failure that explains why a Job or Deployment has no running pod.

It is read from the pods or, if there are none, from events about the Job or Deployment.
"""

from healthingest_operator.api.manifest import ManifestView
from healthingest_operator.reconcile.children import Children
from healthingest_operator.status.pod_failures import Failure, of_events, of_pods


async def why_no_pod(children: Children, controller: ManifestView) -> Failure | None:
    """
    Return the failure that keeps the pods of *controller* from running; None: none is known.

    Events cost a request to the API server, so they are read only if there is no pod.
    """
    uid = controller["metadata"].get("uid")
    pods = [pod for pod in children.all("Pod") if uid in _owners(pod)]
    if pods or uid is None:
        return of_pods(pods)
    where = f"{controller['kind']} {controller['metadata']['name']}"
    return of_events(await children.cluster.events_about(controller), where)


def _owners(pod: ManifestView) -> set[str]:
    return {reference["uid"] for reference in pod["metadata"].get("ownerReferences") or ()}
