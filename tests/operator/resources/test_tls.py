"""Sources of certificates, and their files in pods."""

from typing import Any

from healthingest_contract import environment as env
from healthingest_operator.api.healthingest import parse
from healthingest_operator.resources.tls import (
    Dependency,
    TlsSources,
    has_tls_sources,
    tls_files,
    tls_sources,
    tls_volume,
)
from support.operator_fakes import manifest
from support.rendered import OWNERS, objects

BUNDLE = {"caBundle": {"configMapKeyRef": {"name": "ca"}}}


def test_the_common_bundle_is_for_all_dependencies_and_their_own_overrides_it() -> None:
    """Only the client certificate keeps the common bundle."""
    spec = OWNERS["everything"].spec
    store = tls_sources(spec, Dependency.STORE)
    assert tls_sources(spec, Dependency.CACHE) == store
    assert tls_sources(spec, Dependency.BROKER) == TlsSources(store.ca_bundle, "relay-client")
    database = tls_sources(spec, Dependency.DATABASE)
    assert database.ca_bundle is not None
    assert database.ca_bundle.secret_key_ref is not None
    assert database.ca_bundle.secret_key_ref.key == "root.pem"


def test_without_tls_nothing_is_mounted() -> None:
    """Also no file for a cache that the spec does not name."""
    assert not has_tls_sources(OWNERS["smallest"].spec)
    assert tls_volume(OWNERS["smallest"].spec, "tls", Dependency) is None
    assert tls_files(OWNERS["smallest"].spec, Dependency) == {}
    spec = parse(manifest(tls=BUNDLE)).spec
    assert env.CACHE_CA_FILE not in tls_files(spec, Dependency)
    assert env.STORE_CA_FILE in tls_files(spec, Dependency)


def test_each_container_mounts_every_file_that_its_variables_name() -> None:
    """And gets no variable of a dependency that it does not use."""
    variables = 0
    for pod in _pods():
        for container in pod["containers"]:
            mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
            files = {
                f"{mounts[volume['name']]}/{item['path']}"
                for volume in pod["volumes"]
                if volume["name"] in mounts
                for source in volume.get("projected", {}).get("sources", ())
                for part in source.values()
                for item in part["items"]
            }
            named = {
                entry["value"] for entry in container["env"] if entry["name"].endswith("_FILE")
            }
            assert named == files, container["name"]
            variables += len(named)
    assert variables == 12


def test_only_the_relay_reads_the_certificate_of_its_client() -> None:
    """The key of the AMQP client is in no other container."""
    readers = {
        container["name"]
        for pod in _pods()
        for container in pod["containers"]
        if env.BROKER_CLIENT_KEY_FILE in {entry["name"] for entry in container["env"]}
    }
    assert readers == {"relay"}


def _pods() -> list[dict[str, Any]]:
    return [
        child["spec"]["template"]["spec"]
        for child in objects(OWNERS["everything"])
        if child["kind"] in {"Deployment", "Job"}
    ]
