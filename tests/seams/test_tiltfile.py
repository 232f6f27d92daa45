"""The Tiltfile, run by a Starlark interpreter with recording stubs, names only what exists."""

import json
from pathlib import Path
from typing import Any

import pytest
import starlark
import yaml

from support.scripts import load_script

ROOT = Path(__file__).resolve().parents[2]
BUILTINS = (
    "allow_k8s_contexts",
    "docker_build",
    "encode_yaml",
    "helm",
    "k8s_kind",
    "k8s_resource",
    "k8s_yaml",
    "local_resource",
    "read_file",
    "read_yaml",
    "sync",
)
LIVE_FOLDER = load_script(ROOT / "e2e" / "kind" / "run_live.py").LIVE
LIVE = ROOT / "e2e" / "kind" / "live.dockerfile"


class Recorder:
    """Replaces Tilt: records each call with its arguments, and answers as Tilt does."""

    def __init__(self) -> None:
        self.calls: dict[str, list[tuple[tuple[Any, ...], dict[str, Any]]]] = {
            name: [] for name in BUILTINS
        }

    def stub(self, name: str) -> Any:  # noqa: ANN401 - as Tilt's own built-ins
        """Return a built-in; one that reads a file returns what is in it."""
        answers: dict[str, Any] = {
            "helm": lambda path, **_: f"rendered {path}",
            "read_file": lambda path: (ROOT / path).read_text(),
            "read_yaml": lambda path: next(yaml.safe_load_all((ROOT / path).read_text())),
            "encode_yaml": json.dumps,
            "sync": lambda *paths: list(paths),
        }

        # ANN401: as Tilt's own built-ins
        def record(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401
            self.calls[name].append((arguments, named))
            return answers[name](*arguments, **named) if name in answers else None

        return record


@pytest.fixture(scope="module", name="tilt")
def _tilt() -> Recorder:
    recorder = Recorder()
    module = starlark.Module()
    module["TRIGGER_MODE_MANUAL"] = "manual"
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


def _applied(tilt: Recorder) -> list[dict[str, Any]]:
    """Return the manifests, apart from those of the chart."""
    texts = [arguments[0] for arguments, _ in tilt.calls["k8s_yaml"]]
    return [json.loads(text) for text in texts if not text.startswith("rendered")]


def test_every_path_exists(tilt: Recorder) -> None:
    """Watched and copied folders, the chart, and the programs of local resources."""
    paths = [path for named in _images(tilt).values() for path in named["only"]]
    paths += [arguments[0] for arguments, _ in [*tilt.calls["helm"], *tilt.calls["sync"]]]
    for _, named in tilt.calls["local_resource"]:
        paths += named.get("deps", [])
        paths += [word for word in named.get("cmd", []) if word.endswith(".py")]
    assert len(paths) > 20
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_copied_path_is_watched(tilt: Recorder) -> None:
    """`only` has each path that the lines of an image copy, so that an edit reaches the image."""
    for named in _images(tilt).values():
        lines = named["dockerfile_contents"].splitlines()
        copied = {
            path
            for line in lines
            if line.startswith("COPY") and "--from" not in line
            for path in line.split()[1:-1]
        }
        assert copied == set(named["only"])


def test_a_changed_module_needs_no_new_image(tilt: Recorder) -> None:
    """Each package of an image is copied to where the pod runs it from; the gate is compiled."""
    for name, named in _images(tilt).items():
        packages = {path for path in named["only"] if Path(path).name.startswith("healthingest_")}
        assert {source for source, _ in named["live_update"]} == packages
        assert {to for _, to in named["live_update"]} == {
            str(LIVE_FOLDER / Path(path).name) for path in packages
        }
        module = named["build_args"]["MODULE"]
        assert module == f"{name.replace('-', '_')}.main"
        assert named["dockerfile_contents"].endswith(LIVE.read_text())


def test_the_pods_run_the_images_that_are_built(tilt: Recorder) -> None:
    """The chart's value names the operator's image, the HealthIngest that of the service."""
    ((arguments, named),) = tilt.calls["helm"]
    values = dict(entry.split("=") for entry in named["set"])
    (clinic,) = _applied(tilt)
    assert {values["image.repository"], clinic["spec"]["image"]} == set(_images(tilt))
    ((_, kind),) = tilt.calls["k8s_kind"]
    assert kind["image_json_path"] == "{.spec.image}"
    schema = json.loads((ROOT / arguments[0] / "values.schema.json").read_text())["properties"]
    for path in values:
        group, key = path.split(".")
        assert key in schema[group]["properties"]


def test_every_resource_is_one_that_tilt_makes(tilt: Recorder) -> None:
    """`k8s_resource` and `resource_deps` name a workload, a HealthIngest or a local resource."""
    applied = {manifest["metadata"]["name"] for manifest in _applied(tilt)}
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


def test_every_resource_is_in_a_group(tilt: Recorder) -> None:
    """The page of Tilt shows the groups by their labels."""
    calls = [named for name in ("k8s_resource", "local_resource") for _, named in tilt.calls[name]]
    assert {label for named in calls for label in named["labels"]} == {
        "dependencies",
        "platform",
        "try",
    }
