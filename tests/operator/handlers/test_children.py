"""Which HealthIngest is looked at when something happens to a child."""

from healthingest_operator.api.healthingest import Key
from healthingest_operator.handlers.children import owners, paths

OWNER = {"kind": "HealthIngest", "name": "clinic", "uid": "uid-1"}
LABEL = "app.kubernetes.io/instance"


def test_a_child_whose_label_was_changed_is_still_its_owners() -> None:
    """The one that the label names now is looked at, too: the child may have been its own."""
    metadata = {"labels": {LABEL: "other"}, "ownerReferences": [OWNER]}
    assert owners("a", metadata) == {Key("a", "clinic"), Key("a", "other")}


def test_a_pod_is_known_by_its_label() -> None:
    """Its owner is a ReplicaSet."""
    assert owners(
        "a", {"labels": {LABEL: "clinic"}, "ownerReferences": [OWNER | {"kind": "ReplicaSet"}]}
    ) == {Key("a", "clinic")}
    of_another_name = OWNER | {"kind": "ReplicaSet", "name": "clinic-api-5d9c"}
    assert owners("a", {"labels": {LABEL: "clinic"}, "ownerReferences": [of_another_name]}) == {
        Key("a", "clinic")
    }
    assert owners("a", {}) == set()


def test_children_are_watched_everywhere_or_in_some_namespaces() -> None:
    """One watch for each kind and place."""
    assert "/api/v1/pods" in paths([])
    assert "/apis/apps/v1/deployments" in paths([])
    both = paths(["a", "b"])
    assert {"/api/v1/namespaces/a/pods", "/apis/apps/v1/namespaces/b/deployments"} <= set(both)
    assert len(both) == 2 * len(paths([]))
