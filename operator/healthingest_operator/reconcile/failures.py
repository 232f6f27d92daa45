"""
Why a Job or Deployment has no running pod.

Read from its pods, and where there are none from the events about it.
"""

from healthingest_operator.api.manifest import ManifestView
from healthingest_operator.reconcile.children import Children
from healthingest_operator.status.pod_failures import Failure, of_events, of_pods


async def why_no_pod(children: Children, controller: ManifestView) -> Failure | None:
    """
    What keeps the pods of *controller* (a Job) from running; None: nothing is known.

    Events are asked for only while there is no pod: it is one request to the API server.
    """
    uid = controller["metadata"].get("uid")
    pods = [pod for pod in children.all("Pod") if uid in _owners(pod)]
    if pods or uid is None:
        return of_pods(pods)
    where = f"{controller['kind']} {controller['metadata']['name']}"
    return of_events(await children.cluster.events_about(controller), where)


def _owners(pod: ManifestView) -> set[str]:
    return {reference["uid"] for reference in pod["metadata"].get("ownerReferences") or ()}
