"""examples/00-secrets.yaml has everything that the other examples name."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from support.operator_fakes import OperatorFakes

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def _secrets() -> dict[str, dict[str, str]]:
    text = (EXAMPLES / "00-secrets.yaml").read_text(encoding="utf-8")
    return {one["metadata"]["name"]: one["stringData"] for one in yaml.safe_load_all(text)}


def _references(value: Any) -> Iterator[str]:  # noqa: ANN401 - YAML
    """Yield the names of all references to Secrets in a manifest."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name.lower().endswith("secretref"):
                yield inner["name"]
            yield from _references(inner)


def test_each_secret_that_an_example_names_is_there_and_no_other() -> None:
    """So `kubectl apply` of this file and of one example is enough."""
    named = {
        name
        for path in EXAMPLES.glob("0[1-9]-*.yaml")
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
        for name in _references(document)
    }
    assert set(_secrets()) == named


def test_every_value_to_replace_is_marked() -> None:
    """By a host name of `example`, or by a word in capitals; no two values share a word."""
    words = [
        word
        for values in _secrets().values()
        for value in values.values()
        for word in re.findall(r"[A-Z][A-Z0-9]+(?:-[A-Z0-9]+)+|\w+\.example", value)
    ]
    assert len(words) == 11
    unmarked = {
        (name, key)
        for name, values in _secrets().items()
        for key, value in values.items()
        if not re.search(r"[A-Z][A-Z0-9]+-[A-Z]+|\.example", value)
    }
    assert unmarked == set()


async def test_the_operator_finds_every_key() -> None:
    """With these Secrets and the example with all of them, `SecretsReady` is True."""
    path = EXAMPLES / "02-autoscaling.yaml"
    documents = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    spec = next(one["spec"] for one in documents if one["kind"] == "HealthIngest")
    fakes = OperatorFakes(cache=spec["cache"])
    for name, values in _secrets().items():
        fakes.cluster.secret(name, values)
    await fakes.reconcile()
    assert fakes.conditions()["SecretsReady"][0] == "True"
