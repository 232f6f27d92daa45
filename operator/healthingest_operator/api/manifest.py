"""The types of Kubernetes objects: JSON, whose fields are typed `Any`."""

from collections.abc import Mapping
from typing import Any, TypeAlias

Manifest: TypeAlias = dict[str, Any]
"""A Kubernetes object or a part of one, to build or change."""
ManifestView: TypeAlias = Mapping[str, Any]
"""A Kubernetes object or a part of one, to read only."""
