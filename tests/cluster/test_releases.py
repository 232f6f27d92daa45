"""
Releases of the chart beside each other on a real API server, by an administrator and by a tenant.

The server has no controllers: objects are created, and no pod starts.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from uuid import uuid4

import pytest

from support import helm
from support.control_plane import attempt, kubectl, remove_namespace
from support.servers.apiserver import ApiServer

Install = Callable[..., CompletedProcess[str]]
KINDS = "clusterroles,clusterrolebindings,roles,rolebindings,deployments,services,serviceaccounts"
BUILT_IN = ("system:aggregate-to-admin", "system:aggregate-to-edit", "system:aggregate-to-view")


@pytest.fixture(name="space")
def _space(with_crd: ApiServer) -> Callable[[], str]:
    """Create a namespace with a new name."""

    def create() -> str:
        name = f"release-{uuid4().hex[:8]}"
        kubectl(with_crd, "create", "namespace", name)
        return name

    return create


@pytest.fixture(name="install")
def _install(with_crd: ApiServer, tmp_path: Path) -> Iterator[Install]:
    """Install a release that serves some namespaces; it is removed after the test."""
    installed: list[tuple[str, str]] = []

    def install(
        release: str, home: str, watched: str, *words: str, user: str = ""
    ) -> CompletedProcess[str]:
        command = ["install", release, str(helm.CHART), "--namespace", home]
        namespaces = f"watchNamespaces={{{watched}}}" if watched else "watchNamespaces=null"
        values = ["--set", namespaces, "--set", "crds.enabled=false"]
        installed.append((release, home))
        return helm.attempt(with_crd, tmp_path, *command, *values, *words, user=user)

    yield install
    for release, home in installed:
        words = ("uninstall", release, "--namespace", home, "--ignore-not-found")
        helm.attempt(with_crd, tmp_path, *words)


def _left(server: ApiServer, release: str) -> str:
    words = ("--selector", f"app.kubernetes.io/instance={release}", "--output", "name")
    return kubectl(server, "get", KINDS, "--all-namespaces", *words)


def test_two_releases_of_one_name_stand_side_by_side(
    with_crd: ApiServer, space: Callable[[], str], install: Install
) -> None:
    """Each has its own objects of the cluster; removing one leaves the other complete."""
    release = f"twin-{uuid4().hex[:8]}"
    homes = (space(), space())
    for home in homes:
        done = install(release, home, home)
        assert done.returncode == 0, done.stderr
    both = _left(with_crd, release).splitlines()
    words = ("uninstall", release, "--namespace", homes[0])
    done = helm.attempt(with_crd, Path(with_crd.kubeconfig).parent / "helm", *words)
    assert done.returncode == 0, done.stderr
    left = _left(with_crd, release).splitlines()
    assert 2 * len(left) == len(both)
    roles = [name for name in left if name.startswith("clusterrole.")]
    assert len(roles) == 3
    assert all(f"/{homes[1]}:{release}-" in name for name in roles)


def test_a_namespace_that_another_release_serves_is_refused(
    with_crd: ApiServer, space: Callable[[], str], install: Install
) -> None:
    """Helm names the release and the namespace, and creates nothing."""
    name = f"first-{uuid4().hex[:8]}"
    first, second, shared = (space(), space(), space())
    assert install(name, first, shared).returncode == 0
    other = f"second-{uuid4().hex[:8]}"
    refused = install(other, second, f"{second},{shared}")
    assert refused.returncode != 0
    assert f"release {name} in namespace {first} already serves namespace {shared}" in (
        refused.stderr
    )
    assert f"delete RoleBinding {name}-healthingest-operator if that" in refused.stderr
    assert _left(with_crd, other) == ""
    everywhere = install(other, second, "")
    assert everywhere.returncode != 0
    assert "already serves some of them" in everywhere.stderr


def test_an_upgrade_restores_the_role_in_a_namespace_that_came_back(
    with_crd: ApiServer, space: Callable[[], str], install: Install, tmp_path: Path
) -> None:
    """While it does not exist, the same upgrade succeeds and serves the others."""
    release = f"back-{uuid4().hex[:8]}"
    home, watched = (space(), space())
    assert (
        install(release, home, f"{home},{watched}", "--set", "clusterRoles=false").returncode == 0
    )
    chart = (release, str(helm.CHART), "--namespace", home, "--reset-then-reuse-values")

    def upgraded() -> list[str]:
        done = helm.attempt(with_crd, tmp_path, "upgrade", *chart)
        assert done.returncode == 0, done.stderr
        bindings = _left(with_crd, release).splitlines()
        return [name for name in bindings if name.startswith("rolebinding.")]

    before = upgraded()
    assert len(before) == 3
    remove_namespace(with_crd, watched)
    assert len(upgraded()) == 2
    kubectl(with_crd, "create", "namespace", watched)
    assert upgraded() == before


def test_an_admin_of_a_namespace_installs_without_cluster_roles(
    with_crd: ApiServer, space: Callable[[], str], install: Install
) -> None:
    """
    The API server allows it after a cluster administrator has allowed it once.

    Before that it refuses to let the admin grant rights that he does not have.
    """
    home = space()
    team = f"team-{uuid4().hex[:8]}"
    # There is no controller that aggregates ClusterRoles: the parts are bound one by one.
    for number, role in enumerate(BUILT_IN):
        binding = ("create", "rolebinding", f"{team}-{number}", f"--user={team}")
        kubectl(with_crd, *binding, f"--clusterrole={role}", "--namespace", home)
    words = ("--set", "clusterRoles=false")
    refused = install(team, home, home, *words, user=team)
    assert refused.returncode != 0
    assert "is attempting to grant RBAC permissions not currently held" in refused.stderr

    template = ["template", team, str(helm.CHART), "--namespace", home]
    only = ["--show-only", "templates/user-roles.yaml", "--set", "namespaceAdminsMayInstall=true"]
    done = helm.attempt(with_crd, Path(with_crd.kubeconfig).parent / "helm", *template, *only)
    assert done.returncode == 0, done.stderr
    roles = Path(with_crd.kubeconfig).parent / f"{team}.yaml"
    roles.write_text(done.stdout, encoding="utf-8")
    kubectl(with_crd, "apply", "--server-side", "--filename", str(roles))
    role = f"{home}:{team}-healthingest-operator-install"
    binding = ("create", "rolebinding", f"{team}-install", f"--user={team}")
    kubectl(with_crd, *binding, f"--clusterrole={role}", "--namespace", home)
    try:
        helm.attempt(with_crd, roles.parent / "helm", "uninstall", team, "--namespace", home)
        done = install(team, home, home, *words, user=team)
        assert done.returncode == 0, done.stderr
        names = _left(with_crd, team)
        assert "deployment.apps" in names
        assert "clusterrolebinding" not in names
    finally:
        attempt(with_crd, "delete", "--filename", str(roles))
