"""The pods' ServiceAccount, which has no rights."""

from healthingest_operator.api.healthingest import HealthIngest
from healthingest_operator.api.manifest import Manifest
from healthingest_operator.resources.names import metadata


def service_account(owner: HealthIngest) -> Manifest:
    """Return the ServiceAccount; its token is not mounted."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(owner, owner.key.name),
        "automountServiceAccountToken": False,
    }
