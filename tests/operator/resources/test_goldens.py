"""
Every object as it is written out, for a reviewer to see what changes.

Each Kubernetes knows all of its fields.
"""

import os
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from healthingest_operator.api.healthingest import HealthIngest
from support.rendered import OWNERS, objects

GOLDEN = Path(__file__).parent / "golden"
VERSIONS = ("1.31", "1.32", "1.33", "1.34", "1.35", "1.36")


@pytest.mark.parametrize("name", OWNERS)
def test_objects_are_as_they_were(name: str) -> None:
    """
    Whoever changes one sees it here, and says so by `make goldens`.

    It may restart the pods of every user.
    """
    path = GOLDEN / f"{name}.yaml"
    text = yaml.safe_dump_all(objects(OWNERS[name]), sort_keys=True)
    if os.environ.get("UPDATE_GOLDENS"):
        path.write_text(text, encoding="utf-8")
    assert list(yaml.safe_load_all(path.read_text(encoding="utf-8"))) == list(
        yaml.safe_load_all(text)
    )


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("owner", OWNERS.values(), ids=OWNERS)
def test_every_kubernetes_knows_the_objects(owner: HealthIngest, version: str) -> None:
    """No field that its own schema does not have, or has with another type."""
    for found in objects(owner):
        kubernetes_validate.validate(found, version, strict=True)
