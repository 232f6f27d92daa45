"""
Schemas of the pod fields that a HealthIngest passes on: the subset of Kubernetes' core/v1 types.

Names, types and required fields are those of `PodSpec` and `ResourceRequirements` in the reference
of the Kubernetes API. Bounds on lists and maps are ours: they keep the cost of validation small.
"""

from collections.abc import Mapping
from typing import Final

from healthingest_operator.api.declaring import Schema

QUANTITY_PATTERN: Final = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
    r"(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)
"""As Kubernetes' own CustomResourceDefinitions have it for resource.Quantity."""


def _text(description: str, *values: str) -> Schema:
    return {"type": "string", "description": description} | (
        {"enum": list(values)} if values else {}
    )


def _texts(description: str, most: int) -> Schema:
    return _list(description, most, {"type": "string"})


def _list(description: str, most: int, items: Schema) -> Schema:
    return {"type": "array", "description": description, "maxItems": most, "items": items}


def _number(description: str, **bounds: object) -> Schema:
    return {"type": "integer", "description": description, **bounds}


def _object(description: str, properties: Mapping[str, Schema], *required: str) -> Schema:
    found: Schema = {
        "type": "object",
        "description": description,
        "properties": dict(properties),
    }
    return found | ({"required": list(required)} if required else {})


def _requirements(description: str, key: str, operators: str, values: str) -> Schema:
    requirement = _object(
        "One requirement.",
        {
            "key": _text(key),
            "operator": _text(operators),
            "values": _texts(values, 64),
        },
        "key",
        "operator",
    )
    return _list(description, 32, requirement)


def _weighted(name: str, preference: Schema) -> Schema:
    term = _object(
        "A weighted term.",
        {"weight": _number("1 to 100.", minimum=1, maximum=100), name: preference},
        "weight",
        name,
    )
    return _list("Should hold.", 16, term)


_LABEL_SELECTOR: Final = _object(
    "Labels of the pods that count.",
    {
        "matchLabels": {
            "type": "object",
            "description": "Labels and their values.",
            "maxProperties": 64,
            "additionalProperties": {"type": "string", "maxLength": 4096},
        },
        "matchExpressions": _requirements(
            "Requirements on labels.",
            "The label.",
            "In, NotIn, Exists or DoesNotExist.",
            "Values of the label.",
        ),
    },
)
_MATCH_LABEL_KEYS: Final = _texts("Labels whose values are taken from the pod itself.", 16)
_NODE_REQUIREMENT: Final = (
    "The label or field.",
    "In, NotIn, Exists, DoesNotExist, Gt or Lt.",
    "Values.",
)
_NODE_SELECTOR_TERM: Final = _object(
    "One node selector term.",
    {
        "matchExpressions": _requirements("Requirements on labels.", *_NODE_REQUIREMENT),
        "matchFields": _requirements("Requirements on fields.", *_NODE_REQUIREMENT),
    },
)
_POD_AFFINITY_TERM: Final = _object(
    "Pods, and the domain in which they count.",
    {
        "labelSelector": _LABEL_SELECTOR,
        "namespaceSelector": _LABEL_SELECTOR,
        "namespaces": _texts("Namespaces of these pods.", 32),
        "topologyKey": _text("Node label of the domain."),
        "matchLabelKeys": _MATCH_LABEL_KEYS,
        "mismatchLabelKeys": _texts("Labels whose values must differ from the pod's own.", 16),
    },
    "topologyKey",
)


def _pod_affinity(description: str) -> Schema:
    return _object(
        description,
        {
            "requiredDuringSchedulingIgnoredDuringExecution": _list(
                "Must hold.", 16, _POD_AFFINITY_TERM
            ),
            "preferredDuringSchedulingIgnoredDuringExecution": _weighted(
                "podAffinityTerm", _POD_AFFINITY_TERM
            ),
        },
    )


def _quantities(description: str) -> Schema:
    return {
        "type": "object",
        "description": description,
        "maxProperties": 16,
        "additionalProperties": {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "x-kubernetes-int-or-string": True,
            "pattern": QUANTITY_PATTERN,
        },
    }


RESOURCES: Final = _object(
    "Resources of the API's container.",
    {
        "requests": _quantities("What is kept for it."),
        "limits": _quantities("What it may use."),
    },
)

TOLERATION: Final = _object(
    "As in a pod.",
    {
        "key": _text("Taint key."),
        "operator": _text("Exists or Equal."),
        "value": _text("Taint value."),
        "effect": _text("Taint effect."),
        "tolerationSeconds": _number("Seconds a NoExecute taint is stood.", format="int64"),
    },
)

AFFINITY: Final = _object(
    "Affinity of the API's pods, as in a pod.",
    {
        "nodeAffinity": _object(
            "Nodes to run on.",
            {
                "requiredDuringSchedulingIgnoredDuringExecution": _object(
                    "Must hold.",
                    {
                        "nodeSelectorTerms": _list(
                            "Terms, one of which must hold.", 16, _NODE_SELECTOR_TERM
                        )
                    },
                    "nodeSelectorTerms",
                ),
                "preferredDuringSchedulingIgnoredDuringExecution": _weighted(
                    "preference", _NODE_SELECTOR_TERM
                ),
            },
        ),
        "podAffinity": _pod_affinity("Pods to run near to."),
        "podAntiAffinity": _pod_affinity("Pods to keep away from."),
    },
)

TOPOLOGY_SPREAD_CONSTRAINT: Final = _object(
    "One constraint.",
    {
        "maxSkew": _number("Largest difference.", minimum=1),
        "topologyKey": _text("Node label of the domain."),
        "whenUnsatisfiable": _text(
            "DoNotSchedule or ScheduleAnyway.", "DoNotSchedule", "ScheduleAnyway"
        ),
        "minDomains": _number("Fewest domains.", minimum=1),
        "nodeAffinityPolicy": _text("Honor or Ignore.", "Honor", "Ignore"),
        "nodeTaintsPolicy": _text("Honor or Ignore.", "Honor", "Ignore"),
        "matchLabelKeys": _MATCH_LABEL_KEYS,
        "labelSelector": _LABEL_SELECTOR,
    },
    "maxSkew",
    "topologyKey",
    "whenUnsatisfiable",
)
