"""The Tiltfile, run by a Starlark interpreter with recording stubs, names only what exists."""

import json
from pathlib import Path
from typing import Any

import pytest
import starlark
import yaml

ROOT = Path(__file__).resolve().parents[2]
BUILTINS = (
    "allow_k8s_contexts",
    "docker_build",
    "helm",
    "k8s_kind",
    "k8s_resource",
    "k8s_yaml",
    "local_resource",
)


class Recorder:
    """Replaces Tilt: records each call with its arguments."""

    def __init__(self) -> None:
        self.calls: dict[str, list[tuple[tuple[Any, ...], dict[str, Any]]]] = {
            name: [] for name in BUILTINS
        }

    def stub(self, name: str) -> Any:  # noqa: ANN401 - as Tilt's own built-ins
        """Return a built-in; `helm` returns a text that differs from a path."""

        # ANN401: as Tilt's own built-ins
        def record(*arguments: Any, **named: Any) -> str | None:  # noqa: ANN401
            self.calls[name].append((arguments, named))
            return f"rendered {arguments[0]}" if name == "helm" else None

        return record


@pytest.fixture(scope="module", name="tilt")
def _tilt() -> Recorder:
    recorder = Recorder()
    module = starlark.Module()
    for name in BUILTINS:
        module.add_callable(name, recorder.stub(name))
    source = (ROOT / "Tiltfile").read_text()
    starlark.eval(
        module,
        starlark.parse("Tiltfile", source, starlark.Dialect.extended()),
        starlark.Globals.standard(),
    )
    return recorder


def _images(tilt: Recorder) -> dict[str, dict[str, Any]]:
    return {arguments[0]: named for arguments, named in tilt.calls["docker_build"]}


def test_every_path_exists(tilt: Recorder) -> None:
    """Dockerfiles, watched folders, manifests, the chart, and the program of a local resource."""
    paths = [
        path for named in _images(tilt).values() for path in (named["dockerfile"], *named["only"])
    ]
    paths += [arguments[0] for arguments, _ in tilt.calls["helm"]]
    paths += [
        arguments[0]
        for arguments, _ in tilt.calls["k8s_yaml"]
        if not arguments[0].startswith("rendered")
    ]
    for _, named in tilt.calls["local_resource"]:
        paths += named.get("deps", [])
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_copied_path_is_watched(tilt: Recorder) -> None:
    """`only` has each path that a Dockerfile copies, so that an edit reaches the image."""
    for named in _images(tilt).values():
        lines = (ROOT / named["dockerfile"]).read_text().splitlines()
        copied = {
            line.split()[1] for line in lines if line.startswith("COPY") and "--from" not in line
        }
        assert copied == set(named["only"])


def test_the_chart_runs_the_images_that_are_built(tilt: Recorder) -> None:
    """
    The values name exactly the two images.

    The service's image is in an environment variable of the operator.
    """
    ((arguments, named),) = tilt.calls["helm"]
    values = dict(entry.split("=") for entry in named["set"])
    images = _images(tilt)
    assert {values["image.repository"], values["serviceImage.repository"]} == set(images)
    assert images[values["serviceImage.repository"]]["match_in_env_vars"] is True
    schema = json.loads((ROOT / arguments[0] / "values.schema.json").read_text())["properties"]
    for path in values:
        group, key = path.split(".")
        assert key in schema[group]["properties"]


def test_every_resource_is_one_that_tilt_makes(tilt: Recorder) -> None:
    """`k8s_resource` and `resource_deps` name a workload, a HealthIngest or a local resource."""
    manifests = [
        arguments[0]
        for arguments, _ in tilt.calls["k8s_yaml"]
        if not arguments[0].startswith("rendered")
    ]
    documents = [doc for path in manifests for doc in yaml.safe_load_all((ROOT / path).read_text())]
    applied = {doc["metadata"]["name"] for doc in documents if doc["kind"] == "HealthIngest"}
    releases = {named["name"] for _, named in tilt.calls["helm"]}
    local = {arguments[0] for arguments, _ in tilt.calls["local_resource"]}
    resources = {arguments[0] for arguments, _ in tilt.calls["k8s_resource"]}
    assert resources <= applied | releases
    calls = [named for name in ("k8s_resource", "local_resource") for _, named in tilt.calls[name]]
    assert {dep for named in calls for dep in named.get("resource_deps", [])} <= resources | local


def test_ports_are_those_of_the_things_forwarded(tilt: Recorder) -> None:
    """The operator's metrics port, and the API's Service, which has its HealthIngest's name."""
    deployment = (ROOT / "charts/healthingest-operator/templates/deployment.yaml").read_text()
    for _, named in tilt.calls["k8s_resource"]:
        for forward in named.get("port_forwards", []):
            assert f"containerPort: {forward.split(':')[1]}" in deployment
    serving = [
        named["serve_cmd"] for _, named in tilt.calls["local_resource"] if "serve_cmd" in named
    ]
    assert [command[4:] for command in serving] == [["service/clinic", "8000:80"]]
