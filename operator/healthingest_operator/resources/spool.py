"""The spool: the volume of an API pod for files that are being received, and its limits."""

from typing import Final

from healthingest_operator.api.manifest import Manifest
from healthingest_operator.api.v1alpha1 import HealthIngestSpec, bytes_in

_FILES: Final = 8
"""Number of files of the maximum size for which uploads may use the spool of a pod at once."""
_LEAST_BYTES: Final = 512 * 2**20
_VOLUME_SHARE: Final = 2
"""The default volume has twice the bytes of the uploads, because a full volume evicts the pod."""


def volume_bytes(spec: HealthIngestSpec) -> int:
    """Return the size of the volume."""
    if spec.spool.size is not None:
        return bytes_in(spec.spool.size)
    return max(_LEAST_BYTES, _VOLUME_SHARE * upload_bytes(spec))


def upload_bytes(spec: HealthIngestSpec) -> int:
    """Return the bytes of the volume that uploads may use; the rest is a reserve."""
    if spec.spool.size is not None:
        return bytes_in(spec.spool.size) * 3 // 4
    return _FILES * spec.limits.max_file_size_bytes


def spool_volume(spec: HealthIngestSpec) -> Manifest:
    """Return the volume: on the node's disk, in memory, or of a storage class."""
    size = str(volume_bytes(spec))
    if spec.spool.storage_class_name is None:
        medium = {"medium": "Memory"} if spec.spool.medium == "Memory" else {}
        return {"name": "spool", "emptyDir": {"sizeLimit": size, **medium}}
    claim = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": spec.spool.storage_class_name,
        "resources": {"requests": {"storage": size}},
    }
    return {"name": "spool", "ephemeral": {"volumeClaimTemplate": {"spec": claim}}}
