"""
The commands of the installation pages, run line by line on the cluster.

`tests/cluster/test_pages.py` runs those that need no pod. The release of the other tests is removed
first, and is installed again afterwards. Runs last, after the tests of rights: an operator loses
its rights here while it ends.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

import install
import kubectl as k8s
import operators
import outside
from stopwatch import Stopwatch
from support import pages

SPACE: Final = "e2e-pages"
TEAMS: Final = ("team-a", "team-b")
NAME: Final = "clinic"
EXAMPLE: Final = "examples/01-minimal.yaml"
CRD: Final = "healthingests.healthingest.dev"
READY_SECONDS: Final = 300.0
OWNED: Final = (
    "deployments,services,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,"
    "networkpolicies,poddisruptionbudgets"
)
pytestmark = [pytest.mark.story, pytest.mark.timeout(900)]


@pytest.fixture(scope="module", name="reader")
def _reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Reader"]:
    _remove_everything()
    k8s.namespace(SPACE)
    yield Reader(tmp_path_factory.mktemp("pages"))
    _remove_everything()
    images = install.images()
    install.chart(images["service"], images["operator"], more=install.SHORT_WAITS)


class Reader:
    """Follows the pages in namespace `SPACE`, with the images under test and real credentials."""

    def __init__(self, folder: Path) -> None:
        config = yaml.safe_load(k8s.kubectl("config", "view", "--raw", "--minify"))
        config["contexts"][0]["context"]["namespace"] = SPACE
        path = folder / "kubeconfig"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        path.chmod(0o600)
        self._shell = pages.Shell(pages.ROOT, {"KUBECONFIG": str(path)}, seconds=600.0)
        self._table = {
            "--set imageRegistry=$REGISTRY": _images(),
            pages.SECRETS: pages.filled_secrets(folder, _credentials()),
            EXAMPLE: _example(folder),
        }

    def follow(self, commands: list[str]) -> list[pages.Result]:
        """Run the commands of a story; each must succeed."""
        return list(self._shell.run_all(commands, self._table))


def _example(folder: Path) -> str:
    """Return a copy of the example with a bucket and virtual host that other stories do not use."""
    found = install.minimal(NAME)
    found["spec"]["objectStore"]["bucket"] = f"{SPACE}-health-data"
    found["spec"]["broker"]["virtualHost"] = SPACE
    path = folder / "example.yaml"
    path.write_text(yaml.safe_dump(found), encoding="utf-8")
    return str(path)


def _images() -> str:
    values = []
    for key, name in (("image", "operator"), ("serviceImage", "service")):
        repository, _, tag = install.images()[name].rpartition(":")
        values.append(f"--set {key}.repository={repository} --set-string {key}.tag={tag}")
    return " ".join(values)


def _credentials() -> dict[str, str]:
    """Return the words of examples/00-secrets.yaml and what stands for each on this cluster."""
    words = install.passwords()
    return {
        "S3-ACCESS-KEY-ID": "admin",
        "S3-SECRET-ACCESS-KEY": words["s3"],
        "RABBITMQ-USER": "admin",
        "RABBITMQ-PASSWORD": words["rabbitmq"],
        "POSTGRESQL-USER": "admin",
        "POSTGRESQL-PASSWORD": words["postgres"],
        "REDIS-PASSWORD": words["redis"],
        ":5432/postgres": ":5432/admin",
        **{
            f"{name}.example": f"{name}.{install.DEPENDENCIES}.svc"
            for name in ("rabbitmq", "postgres", "redis")
        },
    }


def _remove_everything() -> None:
    """Remove all HealthIngests, releases and definitions of the cluster, with an operator."""
    if k8s.kubectl("get", "crd", CRD, "--ignore-not-found").strip():
        words = ("delete", "healthingests", "--all", "--all-namespaces", "--timeout=120s")
        k8s.kubectl(*words, seconds=130)
    for home in (install.OPERATOR, *TEAMS):
        scope = ("--namespace", home, "--ignore-not-found", "--wait")
        k8s.run("helm", "uninstall", install.RELEASE, *scope, seconds=130)
    label = f"app.kubernetes.io/instance={install.RELEASE}"
    k8s.kubectl("delete", "clusterroles,clusterrolebindings", "--selector", label)
    k8s.kubectl("delete", "crd", CRD, "--ignore-not-found", "--timeout=60s", seconds=70)
    for name in (SPACE, *TEAMS):
        gone = ("--ignore-not-found", "--timeout=100s")
        k8s.kubectl("delete", "namespace", name, *gone, seconds=110)


def _live() -> dict[str, Any] | None:
    return k8s.get("healthingest", NAME, SPACE)


def _wait_until_ready() -> None:
    k8s.eventually("Ready=True", lambda: k8s.is_ready(_live()), seconds=READY_SECONDS)


def _pods() -> set[str]:
    selector = "app.kubernetes.io/component in (api,relay)"
    return {pod["metadata"]["uid"] for pod in k8s.items("pods", SPACE, selector)}


def _secrets() -> list[str]:
    return [secret["metadata"]["name"] for secret in k8s.items("secrets", SPACE)]


def _owned() -> str:
    label = f"app.kubernetes.io/instance={install.RELEASE}"
    words = ("get", OWNED, "--all-namespaces", "--selector", label, "--output", "name")
    return k8s.kubectl(*words).strip()


def test_1_three_commands_install_everything(reader: Reader, stopwatch: Stopwatch) -> None:
    """The page's own wait ends with a HealthIngest that accepts uploads."""
    began = time.monotonic()
    reader.follow(pages.story("install"))
    stopwatch.record(
        "install page: from nothing to Ready", time.monotonic() - began, bound_seconds=300.0
    )
    assert k8s.is_ready(_live())
    assert outside.Api(f"{NAME}.example").signed_in()


def test_2_upgrade_and_rollback_keep_the_pods(reader: Reader) -> None:
    """The definition is applied by hand, too."""
    before = _pods()
    assert before
    reader.follow(pages.story("upgrade-definition"))
    reader.follow(pages.story("upgrade"))
    _wait_until_ready()
    assert _pods() == before


def test_3_without_the_operator_the_service_runs_on(reader: Reader) -> None:
    """The pods stay and a user signs in; an operator that comes later takes over."""
    before = _pods()
    reader.follow(pages.story("uninstall-keep"))
    k8s.eventually("the operator is gone", lambda: not operators.pods(), seconds=90)
    assert _owned() == ""
    assert _pods() == before
    assert outside.Api(f"{NAME}.example").signed_in()
    reader.follow(pages.story("install"))
    assert k8s.is_ready(_live())
    assert _pods() == before


def test_4_the_data_outlives_the_service(reader: Reader) -> None:
    """The bucket, the virtual host and the Secrets stay, and a new installation uses them."""
    reader.follow(pages.story("uninstall-data"))
    assert _live() is None
    assert _owned() == ""
    for name in ("s3", "rabbitmq", "postgres", "redis", f"{NAME}-erasure-key"):
        assert k8s.get("secret", name, SPACE) is not None
    assert k8s.kubectl("get", "crd", CRD, "--output", "name").strip()
    reader.follow(pages.story("install"))
    assert k8s.is_ready(_live())


def test_5_nothing_is_left_if_asked_for(reader: Reader) -> None:
    """No object of the release, no Secret, no definition and no namespace of the operator."""
    results = reader.follow(pages.story("uninstall-all"))
    left_behind = next(one.output for one in results if "LeftBehind" in one.command)
    assert "role and database" in left_behind
    assert _owned() == ""
    assert k8s.kubectl("get", "crd", CRD, "--ignore-not-found").strip() == ""
    assert k8s.get("namespace", install.OPERATOR, "default") is None
    # the garbage collector removes the operator's own Secrets some seconds after their owner
    k8s.eventually("no Secret is left", lambda: not _secrets(), seconds=60)


def test_6_some_namespaces_are_served(reader: Reader) -> None:
    """The second one is created later, as the page says."""
    k8s.namespace("team-a")
    reader.follow(pages.story("some-namespaces"))
    k8s.eventually("the operator is ready", operators.are_ready, seconds=120)
    for team in TEAMS:
        assert k8s.get("role", install.RELEASE, team) is not None
    _remove_everything()


def test_7_roles_only(reader: Reader) -> None:
    """The operator of the tenant becomes ready without any right in the cluster."""
    k8s.namespace("team-a")
    reader.follow(pages.story("roles-only"))
    words = ("rollout", "status", f"deployment/{install.RELEASE}", "--namespace", "team-a")
    k8s.kubectl(*words, "--timeout=120s", seconds=130)
    bindings = ("get", "clusterrolebindings", "--output", "name")
    assert install.RELEASE not in k8s.kubectl(*bindings)
