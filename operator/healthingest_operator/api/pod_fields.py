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
"""The pattern of resource.Quantity in CustomResourceDefinitions of the Kubernetes project."""


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
        "A selector requirement.",
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
        {
            "weight": _number("Weight of the term, 1 to 100.", minimum=1, maximum=100),
            name: preference,
        },
        "weight",
        name,
    )
    return _list("Preferred terms, with weights.", 16, term)


_LABEL_SELECTOR: Final = _object(
    "Selector for pods or namespaces, by label.",
    {
        "matchLabels": {
            "type": "object",
            "description": "Label values that must match.",
            "maxProperties": 64,
            "additionalProperties": {"type": "string", "maxLength": 4096},
        },
        "matchExpressions": _requirements(
            "Requirements on labels.",
            "Label key.",
            "Operator: In, NotIn, Exists or DoesNotExist.",
            "Label values.",
        ),
    },
)
_MATCH_LABEL_KEYS: Final = _texts("Label keys whose values are those of the pod itself.", 16)
_NODE_REQUIREMENT: Final = (
    "Label key or field name.",
    "Operator: In, NotIn, Exists, DoesNotExist, Gt or Lt.",
    "Label or field values.",
)
_NODE_SELECTOR_TERM: Final = _object(
    "A node selector term.",
    {
        "matchExpressions": _requirements("Requirements on labels.", *_NODE_REQUIREMENT),
        "matchFields": _requirements("Requirements on node fields.", *_NODE_REQUIREMENT),
    },
)
_POD_AFFINITY_TERM: Final = _object(
    "Pods, and the topology domain in which they are looked for.",
    {
        "labelSelector": _LABEL_SELECTOR,
        "namespaceSelector": _LABEL_SELECTOR,
        "namespaces": _texts("Namespaces of the selected pods.", 32),
        "topologyKey": _text("Node label that identifies a topology domain."),
        "matchLabelKeys": _MATCH_LABEL_KEYS,
        "mismatchLabelKeys": _texts(
            "Label keys whose values must differ from those of the pod itself.", 16
        ),
    },
    "topologyKey",
)


def _pod_affinity(description: str) -> Schema:
    return _object(
        description,
        {
            "requiredDuringSchedulingIgnoredDuringExecution": _list(
                "Required terms.", 16, _POD_AFFINITY_TERM
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


def resources_of(container: str, defaults: str) -> Schema:
    """Return the schema of the resources of *container*; *defaults* describes the default."""
    return _object(
        f"Resources of the {container} container. Default of each one not named: {defaults}.",
        {
            "requests": _quantities("Requested resources."),
            "limits": _quantities("Resource limits."),
        },
    )


TOLERATION: Final = _object(
    "A toleration, as in a pod.",
    {
        "key": _text("Taint key."),
        "operator": _text("Operator: Exists or Equal."),
        "value": _text("Taint value."),
        "effect": _text("Taint effect."),
        "tolerationSeconds": _number(
            "Seconds for which a NoExecute taint is tolerated.", format="int64"
        ),
    },
)

HOST_ALIAS: Final = _object(
    "An entry of /etc/hosts, as in a pod.",
    {
        "ip": _text("IP address."),
        "hostnames": _texts("Host names of the address.", 16),
    },
    "ip",
)


def _key_of(kind: str) -> Schema:
    return _object(
        f"A key of a {kind} in the same namespace.",
        {
            "name": _text(f"Name of the {kind}."),
            "key": _text("Key."),
            "optional": {"type": "boolean", "description": "Whether it may be missing."},
        },
        "name",
        "key",
    )


ENV_VAR: Final = _object(
    "An environment variable, as in a pod.",
    {
        "name": _text("Name of the variable.") | {"minLength": 1, "maxLength": 253},
        "value": _text("Value.") | {"maxLength": 4096},
        "valueFrom": _object(
            "Source of the value.",
            {
                "secretKeyRef": _key_of("Secret"),
                "configMapKeyRef": _key_of("ConfigMap"),
                "fieldRef": _object(
                    "A field of the pod.",
                    {"apiVersion": _text("Version of the API."), "fieldPath": _text("Path.")},
                    "fieldPath",
                ),
            },
        ),
    },
    "name",
)

AFFINITY: Final = _object(
    "Affinity of the API pods, as in a pod.",
    {
        "nodeAffinity": _object(
            "Node affinity.",
            {
                "requiredDuringSchedulingIgnoredDuringExecution": _object(
                    "Required terms.",
                    {
                        "nodeSelectorTerms": _list(
                            "Terms, of which at least one must match.", 16, _NODE_SELECTOR_TERM
                        )
                    },
                    "nodeSelectorTerms",
                ),
                "preferredDuringSchedulingIgnoredDuringExecution": _weighted(
                    "preference", _NODE_SELECTOR_TERM
                ),
            },
        ),
        "podAffinity": _pod_affinity("Pod affinity."),
        "podAntiAffinity": _pod_affinity("Pod anti-affinity."),
    },
)

TOPOLOGY_SPREAD_CONSTRAINT: Final = _object(
    "A topology spread constraint.",
    {
        "maxSkew": _number(
            "Maximum difference in the number of pods between two domains.", minimum=1
        ),
        "topologyKey": _text("Node label that identifies a topology domain."),
        "whenUnsatisfiable": _text(
            "Policy: DoNotSchedule or ScheduleAnyway.", "DoNotSchedule", "ScheduleAnyway"
        ),
        "minDomains": _number("Minimum number of domains.", minimum=1),
        "nodeAffinityPolicy": _text("Policy: Honor or Ignore.", "Honor", "Ignore"),
        "nodeTaintsPolicy": _text("Policy: Honor or Ignore.", "Honor", "Ignore"),
        "matchLabelKeys": _MATCH_LABEL_KEYS,
        "labelSelector": _LABEL_SELECTOR,
    },
    "maxSkew",
    "topologyKey",
    "whenUnsatisfiable",
)
