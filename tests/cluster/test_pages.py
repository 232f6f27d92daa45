"""
The commands of the installation pages, run line by line on a private API server.

There are no nodes and no controllers: objects are created, checked by the server and deleted.
`e2e/test_9_written_commands.py` runs the same stories with pods.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml

from support import helm, pages
from support.control_plane import CRD_NAME, attempt, kubectl, remove_namespace
from support.servers.apiserver import ApiServer, apiserver
from support.servers.process import ServerUnavailableError

HOME: Final = "healthingest-system"
SPACE: Final = "demo"
TEAMS: Final = ("team-a", "team-b")
LEFT_OUT: Final = {
    "kubectl wait healthingest/clinic": "no pod starts",
    "kubectl rollout status": "no pod starts",
    "kubectl delete namespace": "no controller empties a namespace",
}
"""Beginnings of commands that need a whole cluster, and why; the e2e tests run them."""
SCHEMAS: Final = pages.ROOT / "contract" / "healthingest_contract" / "schemas"
DIGEST: Final = "sha256:" + "0123456789abcdef" * 4
KINDS: Final = (
    "deployments,services,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,"
    "networkpolicies,poddisruptionbudgets"
)


@pytest.fixture(scope="module", name="server")
def _server() -> Iterator[ApiServer]:
    """A server of its own: the pages install and remove the definition."""
    helm.program()
    try:
        with apiserver() as found:
            yield found
    except ServerUnavailableError as error:
        pytest.skip(str(error))


class Reader:
    """Follows the pages with kubectl and Helm, in namespace `SPACE`."""

    def __init__(self, server: ApiServer, folder: Path) -> None:
        self.server = server
        config = yaml.safe_load(server.kubeconfig.read_text(encoding="utf-8"))
        config["contexts"][0]["context"]["namespace"] = SPACE
        path = folder / "kubeconfig"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        environment = {
            "KUBECONFIG": str(path),
            "PATH": f"{Path(server.kubectl).parent}:{os.environ['PATH']}",
            "REGISTRY": "registry.example/health",
            "PASSWORD": "of the mail server",
            **{f"HELM_{name}_HOME": str(folder / name) for name in ("CACHE", "CONFIG", "DATA")},
        }
        self._shell = pages.Shell(pages.ROOT, environment)
        self._table = {
            " --wait": "",  # no pod becomes ready
            "make chart": f"{sys.executable} charts/package_chart.py --destination {folder}",
            "dist/": f"{folder}/",
            "VERSION": yaml.safe_load((helm.CHART / "Chart.yaml").read_text())["version"],
            "OPERATOR-DIGEST": DIGEST,
            "SERVICE-DIGEST": DIGEST,
            pages.SECRETS: pages.filled_secrets(folder, {"S3-ACCESS-KEY-ID": "key"}),
            "--from-file=schemas/": f"--from-file={SCHEMAS}",
            "NAMESPACE": SPACE,
            "NAME": "clinic",
        }

    def follow(self, commands: list[str]) -> list[pages.Result]:
        """Run the commands of a story; each must succeed."""
        assert commands
        found = []
        for result in self._shell.run_all(commands, self._table, list(LEFT_OUT)):
            found.append(result)
            if attempt(self.server, "get", CRD_NAME).returncode == 0:
                wait = ("wait", "--for=condition=Established", CRD_NAME, "--timeout=60s")
                kubectl(self.server, *wait)
        return found

    def names(self, kinds: str, *words: str) -> set[str]:
        """Return kind and name of the objects that kubectl finds."""
        text = kubectl(self.server, "get", kinds, *words, "--output", "name")
        return set(text.split())

    def owned(self) -> set[str]:
        """Return the objects of the release in all namespaces."""
        label = "app.kubernetes.io/instance=healthingest-operator"
        return self.names(KINDS, "--all-namespaces", "--selector", label)


@pytest.fixture(name="reader")
def _reader(server: ApiServer, tmp_path: Path) -> Iterator[Reader]:
    kubectl(server, "create", "namespace", SPACE)
    yield Reader(server, tmp_path)
    for home in (HOME, *TEAMS):
        words = ("uninstall", "healthingest-operator", "--ignore-not-found", "--namespace", home)
        done = helm.attempt(server, tmp_path, *words)
        assert done.returncode == 0, done.stderr
    label = "app.kubernetes.io/instance=healthingest-operator"
    kubectl(server, "delete", "clusterroles", "--selector", label)
    kubectl(server, "delete", "--ignore-not-found", CRD_NAME)
    found = json.loads(kubectl(server, "get", "namespaces", "--output", "json"))["items"]
    for name in {one["metadata"]["name"] for one in found} & {HOME, SPACE, *TEAMS}:
        remove_namespace(server, name)


def test_install_then_upgrade_and_go_back(reader: Reader) -> None:
    """The three commands create the operator, the Secrets and the HealthIngest."""
    reader.follow(pages.story("install"))
    assert reader.names("healthingests", "--namespace", SPACE)
    assert len(reader.names("secrets", "--namespace", SPACE)) == 4
    deployment = "deployment.apps/healthingest-operator"
    assert reader.names("deployments", "--namespace", HOME) == {deployment}
    before = reader.owned()
    reader.follow(pages.story("upgrade-definition"))
    reader.follow(pages.story("upgrade"))
    assert reader.owned() == before
    revisions = kubectl(reader.server, "get", "secrets", "--namespace", HOME, "--output", "name")
    assert revisions.count("sh.helm.release.v1.healthingest-operator") == 3


def test_install_without_access_to_the_internet(reader: Reader) -> None:
    """The package installs; both images are named by digest in the mirror."""
    reader.follow(pages.story("air-gapped"))
    text = kubectl(reader.server, "get", "deployments", "--namespace", HOME, "--output", "json")
    (deployment,) = json.loads(text)["items"]
    pod = deployment["spec"]["template"]["spec"]
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    (container,) = pod["containers"]
    told = {entry["name"]: entry.get("value") for entry in container["env"]}
    mirror = "mirror.example/health"
    assert container["image"] == f"{mirror}/healthingest-operator@{DIGEST}"
    service = told["HEALTHINGEST_OPERATOR_SERVICE_IMAGE"]
    assert service == f"{mirror}/healthingest-service@{DIGEST}"
    assert reader.names("healthingests", "--namespace", SPACE)


def test_uninstall_keeps_everything(reader: Reader) -> None:
    """Only the operator goes; it can be installed again."""
    reader.follow(pages.story("install"))
    reader.follow(pages.story("uninstall-keep"))
    assert reader.owned() == set()
    assert reader.names("healthingests", "--namespace", SPACE)
    assert len(reader.names("secrets", "--namespace", SPACE)) == 4
    reader.follow(pages.story("install"))
    assert reader.owned()


def test_uninstall_keeps_the_data(reader: Reader) -> None:
    """The HealthIngests go; the definition and the user's Secrets stay."""
    reader.follow(pages.story("install"))
    reader.follow(pages.story("uninstall-data"))
    assert reader.owned() == set()
    assert reader.names("healthingests", "--namespace", SPACE) == set()
    assert len(reader.names("secrets", "--namespace", SPACE)) == 4
    assert reader.names("crd")


def test_uninstall_leaves_nothing(reader: Reader) -> None:
    """No object of the release, no Secret and no definition is left."""
    before = reader.names(KINDS, "--all-namespaces")
    reader.follow(pages.story("install"))
    reader.follow(pages.story("uninstall-all"))
    assert reader.names(KINDS, "--all-namespaces") == before
    assert reader.names("crd") == set()
    assert reader.names("secrets", "--namespace", SPACE) == set()
    assert reader.names("secrets", "--namespace", HOME) == set()


def test_a_hanging_deletion_is_ended_by_hand(reader: Reader) -> None:
    """The command of the page removes the finalizer."""
    reader.follow(pages.story("install"))
    finalizer = '{"metadata":{"finalizers":["healthingest.dev/cleanup"]}}'
    space = ("--namespace", SPACE)
    kubectl(reader.server, "patch", "hi", "clinic", *space, "--type=merge", "--patch", finalizer)
    kubectl(reader.server, "delete", "hi", "clinic", *space, "--wait=false")
    assert reader.names("healthingests", *space)
    reader.follow(pages.story("release"))
    assert reader.names("healthingests", *space) == set()


def test_some_namespaces_are_served_also_one_that_comes_later(reader: Reader) -> None:
    """The second command creates the Role in the namespace that exists now."""
    kubectl(reader.server, "create", "namespace", "team-a")
    reader.follow(pages.story("some-namespaces"))
    role = {"role.rbac.authorization.k8s.io/healthingest-operator"}
    for team in TEAMS:
        assert reader.names("roles", "--namespace", team) == role


def test_roles_only(reader: Reader) -> None:
    """After the administrator's commands, the tenant's create no ClusterRole and no binding."""
    kubectl(reader.server, "create", "namespace", "team-a")
    *administrators, tenants = pages.story("roles-only")
    reader.follow(administrators)
    roles = reader.names("clusterroles,clusterrolebindings")
    assert f"clusterrole.rbac.authorization.k8s.io/{HOME}:healthingest-operator-install" in roles
    reader.follow([tenants])
    assert reader.names("clusterroles,clusterrolebindings") == roles
    assert reader.names("deployments", "--namespace", "team-a")


def test_pages_about_one_health_ingest(reader: Reader) -> None:
    """The annotations that they set, and the objects that they make, are there."""
    reader.follow(pages.story("install"))
    reader.follow(pages.story("rotate"))
    reader.follow(pages.story("move"))
    text = kubectl(reader.server, "get", "hi", "clinic", "--namespace", SPACE, "--output", "json")
    annotations = json.loads(text)["metadata"]["annotations"]
    wanted = {
        f"healthingest.dev/{word}" for word in ("rotate", "confirm-database", "confirm-bucket")
    }
    assert wanted <= annotations.keys()
    reader.follow(pages.story("schemas"))
    assert "configmap/schemas" in reader.names("configmaps", "--namespace", SPACE)
    reader.follow(pages.story("mail-secret"))
    assert "secret/mail" in reader.names("secrets", "--namespace", SPACE)


def test_left_out_commands_are_on_the_pages() -> None:
    """No entry of the table is left over."""
    found = [
        command
        for page in pages.PAGES
        for block in pages.blocks(page)
        for command in block.commands
    ]
    assert {
        beginning
        for beginning in LEFT_OUT
        if not any(command.startswith(beginning) for command in found)
    } == set()
