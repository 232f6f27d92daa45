"""The spool's volume, and the bytes that uploads may use of it."""

import pytest

from healthingest_contract import environment as env
from healthingest_operator.api.healthingest import HealthIngest, parse
from healthingest_operator.resources.spool import spool_volume, upload_bytes, volume_bytes
from support.operator_fakes import manifest
from support.rendered import settings


def owner(**spool: object) -> HealthIngest:
    """Return a HealthIngest with files of 50Mi at most."""
    return parse(manifest(spool=spool, limits={"maxFileSize": "50Mi"}))


@pytest.mark.parametrize(
    ("size", "volume", "uploads"),
    [(None, 16 * 50 * 2**20, 8 * 50 * 2**20), ("1Gi", 2**30, 768 * 2**20)],
)
def test_uploads_leave_a_reserve_of_the_volume(size: str | None, volume: int, uploads: int) -> None:
    """A volume that is full evicts the pod, so the service is told less than its size."""
    wanted = owner(**({"size": size} if size else {}))
    assert volume_bytes(wanted.spec) == volume
    assert upload_bytes(wanted.spec) == uploads
    assert settings(wanted)[env.SPOOL_MAX_BYTES] == str(uploads)


def test_the_medium_is_that_of_the_spec() -> None:
    """Disk of the node, memory, or a claim of a storage class."""
    volume = str(800 * 2**20)
    assert spool_volume(owner().spec)["emptyDir"] == {"sizeLimit": volume}
    memory = spool_volume(owner(medium="Memory").spec)
    assert memory["emptyDir"] == {"sizeLimit": volume, "medium": "Memory"}
    claim = spool_volume(owner(storageClassName="fast").spec)["ephemeral"]["volumeClaimTemplate"]
    assert claim["spec"]["storageClassName"] == "fast"
    assert claim["spec"]["resources"] == {"requests": {"storage": volume}}
