"""The pods' ServiceAccount, which has no rights."""

from healthingest_operator.api.healthingest import HealthIngest
from healthingest_operator.api.manifest import Manifest
from healthingest_operator.resources.names import metadata


def account_name(owner: HealthIngest) -> str:
    """Return the name of the pods' ServiceAccount."""
    return owner.spec.service_account.name or owner.key.name


def service_account(owner: HealthIngest) -> Manifest:
    """Return the ServiceAccount; its token is not mounted."""
    described = metadata(owner, owner.key.name)
    if owner.spec.service_account.annotations:
        described["annotations"] = dict(owner.spec.service_account.annotations)
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": described,
        "automountServiceAccountToken": False,
    }
