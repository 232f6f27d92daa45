"""
Two releases side by side, each for its own namespace, without ClusterRoles.

One namespace is deleted and created again. Runs after the tests of rights, because the operator of
the other tests is removed, and requests are refused here on purpose.
"""

from collections.abc import Iterator
from functools import partial
from typing import Final

import pytest

import install
import kubectl as k8s
import podless

HOMES: Final = {"one": "e2e-release-one", "two": "e2e-release-two"}
SPACES: Final = {"one": "e2e-served-by-one", "two": "e2e-served-by-two"}
RELEASE: Final = install.RELEASE
"""The same name in two namespaces, where collisions would show."""
NAME: Final = "clinic"
SERVED_SECONDS: Final = 120.0
pytestmark = [pytest.mark.story, pytest.mark.timeout(600)]


@pytest.fixture(scope="module", autouse=True)
def _two_releases() -> Iterator[None]:
    """Replace the operator for all namespaces by two for one each; afterwards it is back."""
    for name in SPACES.values():
        podless.namespace(name)
    _uninstall(install.OPERATOR)
    for which in HOMES:
        k8s.namespace(HOMES[which])
        _install(which, SPACES[which])
    yield
    for space in SPACES.values():
        k8s.remove_namespace(space)
    for home in HOMES.values():
        _uninstall(home)
        k8s.kubectl("delete", "namespace", home, "--timeout=100s", seconds=110)
    images = install.images()
    install.chart(images["service"], images["operator"], more=install.SHORT_WAITS)


def _install(which: str, *namespaces: str) -> None:
    values = {
        "watchNamespaces": f"{{{','.join(namespaces)}}}",
        "clusterRoles": "false",
        "crds.enabled": "false",
        "replicas": "1",
    }
    settings = [word for name, value in values.items() for word in ("--set", f"{name}={value}")]
    for key, name in (("image", "operator"), ("serviceImage", "service")):
        repository, _, tag = install.images()[name].rpartition(":")
        settings += ["--set-string", f"{key}.repository={repository},{key}.tag={tag}"]
    words = ("helm", "upgrade", "--install", RELEASE, str(install.CHART), "--wait")
    home = ("--namespace", HOMES[which])
    k8s.run(*words, *home, "--timeout=120s", *settings, seconds=150)


def _uninstall(home: str) -> None:
    words = ("uninstall", RELEASE, "--namespace", home, "--ignore-not-found", "--wait")
    k8s.run("helm", *words, seconds=130)


def _is_made(space: str) -> bool:
    return podless.is_made(k8s.get("healthingest", NAME, space))


def test_1_each_release_serves_its_namespace() -> None:
    """Both have the same name, and neither has a right in the cluster."""
    for space in SPACES.values():
        podless.make(space, [NAME])
    for space in SPACES.values():
        k8s.eventually(f"{space} is served", partial(_is_made, space), seconds=SERVED_SECONDS)
    assert RELEASE not in k8s.kubectl("get", "clusterrolebindings", "--output", "name")


def test_2_a_release_for_the_namespace_of_another_is_refused() -> None:
    """Helm names the other release, and the running one is unchanged."""
    with pytest.raises(k8s.CommandError) as refused:
        _install("two", SPACES["two"], SPACES["one"])
    where = f"release {RELEASE} in namespace {HOMES['one']} already serves namespace"
    assert f"{where} {SPACES['one']}" in refused.value.text


def test_3_a_deleted_namespace_is_served_again() -> None:
    """
    Its HealthIngests are deleted first, because there is no right to release them afterwards.

    The other release heals its own meanwhile. The namespace gets its Role by the same upgrade.
    """
    space = SPACES["one"]
    k8s.remove_namespace(space)
    podless.mutate(SPACES["two"], NAME)
    k8s.eventually("healed", partial(podless.is_healed, SPACES["two"], NAME), seconds=60)
    podless.namespace(space)
    _install("one", space)
    podless.make(space, [NAME])
    k8s.eventually("it is served again", partial(_is_made, space), seconds=SERVED_SECONDS)


def test_4_removing_one_release_leaves_the_other() -> None:
    """The objects of the other stay, and it heals its HealthIngest."""
    k8s.remove_namespace(SPACES["one"])
    _uninstall(HOMES["one"])
    podless.mutate(SPACES["two"], NAME)
    k8s.eventually("healed", partial(podless.is_healed, SPACES["two"], NAME), seconds=60)
