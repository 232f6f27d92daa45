"""Bundles and client certificates in a reconciliation."""

from typing import Any

import pytest

from healthingest_operator.reconcile.outcome import ReconcileMode
from healthingest_operator.resources.pods import DIGEST_ANNOTATION
from support.operator_fakes import KEY, OperatorFakes, manifest
from support.servers.tls import Authority

TLS = {"caBundle": {"configMapKeyRef": {"name": "ca"}}}


def bundle(fakes: OperatorFakes, *authorities: Authority) -> None:
    """Let the ConfigMap `ca` have these authorities."""
    config_map(fakes, {"ca.crt": b"".join(one.bundle for one in authorities).decode()})


def config_map(fakes: OperatorFakes, data: dict[str, str]) -> None:
    """Let the ConfigMap `ca` have these values."""
    metadata = {"namespace": KEY.namespace, "name": "ca"}
    fakes.cluster.put({"kind": "ConfigMap", "metadata": metadata, "data": data})


def with_spec(fakes: OperatorFakes, **spec: Any) -> None:  # noqa: ANN401 - a part of a manifest
    """Replace the HealthIngest by one with *spec*."""
    fakes.cluster.put(manifest(**spec))


def digests(fakes: OperatorFakes) -> list[str]:
    """Return the digest of each Deployment's pods."""
    return [
        fakes.cluster.get("Deployment", name)["spec"]["template"]["metadata"]["annotations"][
            DIGEST_ANNOTATION
        ]
        for name in fakes.cluster.names("Deployment")
    ]


@pytest.fixture(name="fakes")
def _fakes() -> OperatorFakes:
    return OperatorFakes()


async def test_every_dependency_gets_the_bundle(fakes: OperatorFakes) -> None:
    """Ready, and no dependency was asked without it."""
    authority = Authority()
    bundle(fakes, authority)
    with_spec(fakes, tls=TLS)
    await fakes.until_ready()
    for used in (fakes.store.tls, fakes.broker.tls, fakes.database.tls):
        assert {tls.ca_bundle for tls in used} == {authority.bundle}


async def test_another_bundle_replaces_the_pods_at_the_next_external_check(
    fakes: OperatorFakes,
) -> None:
    """Also where the dependencies are unchanged; the same bundle replaces none."""
    first = Authority()
    bundle(fakes, first)
    with_spec(fakes, tls=TLS)
    await fakes.until_ready()
    before = digests(fakes)
    await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK)
    assert digests(fakes) == before
    bundle(fakes, first, Authority())
    for _ in range(4):  # the migration Job comes first
        fakes.clock.advance(60)
        await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK)
        fakes.cluster.settle()
    assert fakes.conditions()["Ready"][0] == "True"
    after = digests(fakes)
    assert len(after) == 2
    assert not set(after) & set(before)


@pytest.mark.parametrize(
    ("data", "reason", "message"),
    [
        (
            None,
            "CaBundleNotFound",
            "ConfigMap {ns}/ca with the CA bundle does not exist: create it",
        ),
        (
            {"other": "a"},
            "CaBundleNotFound",
            "ConfigMap {ns}/ca with the CA bundle has no key ca.crt: add it",
        ),
        (
            {"ca.crt": "hunter2"},
            "CaBundleInvalid",
            (
                "key ca.crt of ConfigMap {ns}/ca with the CA bundle has no certificate in PEM"
                " format: write certificates in PEM into it"
            ),
        ),
    ],
)
async def test_an_unusable_bundle_is_named(
    fakes: OperatorFakes, data: dict[str, str] | None, reason: str, message: str
) -> None:
    """In the condition of each dependency, without its contents."""
    if data is not None:
        config_map(fakes, data)
    with_spec(fakes, tls=TLS)
    await fakes.reconcile()
    conditions = fakes.conditions()
    for kind in ("BucketReady", "BrokerReady", "DatabaseReady"):
        assert conditions[kind] == ("False", reason, message.format(ns=KEY.namespace))


async def test_a_missing_bundle_of_the_cache_replaces_no_pod(fakes: OperatorFakes) -> None:
    """New pods could not start; the condition of the cache and of the workload name it."""
    fakes.cluster.secret("redis", {"url": "rediss://redis:6379"})
    with_spec(fakes, cache={"secretRef": {"name": "redis"}, "tls": TLS})
    bundle(fakes, Authority())
    await fakes.until_ready()
    assert fakes.conditions()["CacheReady"][0] == "True"
    before = digests(fakes)
    del fakes.cluster.objects["ConfigMap", KEY.namespace, "ca"]
    fakes.clock.advance(60)
    await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK)
    assert digests(fakes) == before
    for kind in ("CacheReady", "WorkloadAvailable"):
        status, reason, message = fakes.conditions()[kind]
        assert (status, reason) == ("False", "CaBundleNotFound")
        assert f"ConfigMap {KEY.namespace}/ca" in message
    assert fakes.conditions()["DatabaseReady"][0] == "True"


async def test_a_client_certificate_without_key_is_named(fakes: OperatorFakes) -> None:
    """Only the broker's condition is false."""
    issued = Authority().issue()
    fakes.cluster.secret("client", {"tls.crt": issued.certificate.decode()})
    broker = manifest()["spec"]["broker"]
    client = {"clientCertificateSecretRef": {"name": "client"}}
    with_spec(fakes, broker=broker | {"tls": client})
    await fakes.reconcile()
    message = (
        f"Secret {KEY.namespace}/client with the client certificate has no key tls.key, or an"
        " empty one: add it"
    )
    assert fakes.conditions()["BrokerReady"] == ("False", "SecretKeyMissing", message)
    assert fakes.conditions()["BucketReady"][0] == "True"


async def test_an_address_that_names_a_file_is_refused(fakes: OperatorFakes) -> None:
    """Neither operator nor pods have the file; the field is named."""
    fakes.cluster.secret("postgres", {"url": "postgresql://u:p@h/d?sslrootcert=/ca.pem"})
    await fakes.reconcile()
    _, reason, message = fakes.conditions()["DatabaseReady"]
    assert reason == "SecretValueInvalid"
    assert message.endswith("names a file with sslrootcert: remove it and set spec.database.tls")
