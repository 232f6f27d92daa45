"""The CustomResourceDefinition of the API type."""

from typing import Final

from healthingest_operator.api import v1alpha1
from healthingest_operator.api.manifest import Manifest
from healthingest_operator.api.schema import structural_schema

NAME: Final = f"{v1alpha1.PLURAL}.{v1alpha1.GROUP}"


def custom_resource_definition() -> Manifest:
    """Return the CustomResourceDefinition as a manifest."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": NAME},
        "spec": {
            "group": v1alpha1.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": v1alpha1.KIND,
                "listKind": f"{v1alpha1.KIND}List",
                "plural": v1alpha1.PLURAL,
                "singular": v1alpha1.KIND.lower(),
                "shortNames": list(v1alpha1.SHORT_NAMES),
                "categories": list(v1alpha1.CATEGORIES),
            },
            "versions": [_version()],
        },
    }


def _version() -> Manifest:
    return {
        "name": v1alpha1.VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": [
            {"name": name, "type": kind, "jsonPath": path}
            for name, kind, path in v1alpha1.PRINTER_COLUMNS
        ],
        "subresources": {"status": {}, "scale": dict(v1alpha1.SCALE_SUBRESOURCE)},
        "schema": {"openAPIV3Schema": _root()},
    }


def _root() -> Manifest:
    status = v1alpha1.STATUS_BEFORE_FIRST_RECONCILE
    return {
        "type": "object",
        "description": v1alpha1.DESCRIPTION,
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": structural_schema(v1alpha1.HealthIngestSpec),
            "status": structural_schema(type(status))
            | {"default": status.model_dump(by_alias=True, exclude_unset=True)},
        },
        "required": ["spec"],
        "x-kubernetes-validations": [v1alpha1.NAME_RULE.as_schema()],
    }
