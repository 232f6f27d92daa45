"""The pods' ServiceAccount: a name without rights."""

from typing import Any

from healthingest_operator.api.healthingest import HealthIngest
from healthingest_operator.resources.names import metadata


def service_account(owner: HealthIngest) -> dict[str, Any]:
    """The ServiceAccount; no token is mounted."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(owner, owner.key.name),
        "automountServiceAccountToken": False,
    }
