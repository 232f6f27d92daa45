"""The mail server in a reconciliation."""

import base64
from typing import Any

from healthingest_contract import environment as env
from healthingest_operator.resources.names import config_map, service_secret
from healthingest_operator.resources.pods import DIGEST_ANNOTATION
from healthingest_operator.resources.secrets import MAIL_LOGIN
from support.operator_fakes import KEY, OperatorFakes, manifest
from support.servers.tls import Authority

MAIL = {
    "host": "smtp.clinic.example",
    "port": 2525,
    "sender": "ingest@clinic.example",
    "publicUrl": "https://ingest.clinic.example",
    "secretRef": {"name": "mail"},
}
LOGIN = {"username": "ingest", "password": "hush-hush"}


def accounts(**mail: Any) -> dict[str, Any]:  # noqa: ANN401 - a part of a manifest
    """Return `spec.accounts` with a mail server."""
    return {"registration": "VerifiedOnly", "mail": MAIL | mail}


def digest(fakes: OperatorFakes, component: str) -> str:
    """Return the digest of the pods of a Deployment."""
    deployment = fakes.cluster.get("Deployment", f"{KEY.name}-{component}")
    found: str = deployment["spec"]["template"]["metadata"]["annotations"][DIGEST_ANNOTATION]
    return found


def files(fakes: OperatorFakes, component: str) -> dict[str, set[str]]:
    """Return the names of the secret files of each container of a Deployment."""
    pod = fakes.cluster.get("Deployment", f"{KEY.name}-{component}")["spec"]["template"]["spec"]
    return {
        volume["name"]: {item["path"] for item in volume["secret"]["items"]}
        for volume in pod["volumes"]
        if volume["name"].startswith("secrets-")
    }


def service_values(fakes: OperatorFakes) -> dict[str, str]:
    """Return the values of the service's Secret."""
    data = fakes.cluster.get("Secret", service_secret(KEY))["data"]
    return {name: base64.b64decode(value).decode() for name, value in data.items()}


async def test_the_janitor_gets_the_login() -> None:
    """The API and the relay do not; host, sender and links are settings of all pods."""
    fakes = OperatorFakes(accounts=accounts())
    fakes.cluster.secret("mail", LOGIN)
    await fakes.until_ready()
    assert [service_values(fakes)[name] for name in MAIL_LOGIN] == list(LOGIN.values())
    mounted = files(fakes, "relay") | files(fakes, "api")
    having = {name for name, paths in mounted.items() if {*MAIL_LOGIN} <= paths}
    assert having == {"secrets-janitor"}
    data = fakes.cluster.get("ConfigMap", config_map(KEY))["data"]
    assert {name: data[name] for name in data if "_MAIL__" in name} == {
        env.MAIL_SMTP_HOST: "smtp.clinic.example",
        env.MAIL_SMTP_PORT: "2525",
        env.MAIL_SMTP_TLS: "STARTTLS",
        env.MAIL_CA_FILE: "",
        env.MAIL_FROM_ADDRESS: "ingest@clinic.example",
        env.MAIL_PUBLIC_URL: "https://ingest.clinic.example",
    }
    assert "hush-hush" not in str(data)


async def test_only_the_janitor_s_pod_reaches_the_mail_server() -> None:
    """Its port is in the NetworkPolicy of relay and janitor, and in no other."""
    fakes = OperatorFakes(accounts=accounts())
    fakes.cluster.secret("mail", LOGIN)
    await fakes.until_ready()
    having = {
        name
        for name in fakes.cluster.names("NetworkPolicy")
        if "'port': 2525" in str(fakes.cluster.get("NetworkPolicy", name)["spec"]["egress"])
    }
    assert having == {f"{KEY.name}-relay"}


async def test_a_missing_secret_is_named() -> None:
    """The condition names it, running pods keep the login, and another password replaces them."""
    fakes = OperatorFakes(accounts=accounts())
    await fakes.reconcile()
    status, reason, message = fakes.conditions()["SecretsReady"]
    assert (status, reason) == ("False", "SecretNotFound")
    assert f"Secret {KEY.namespace}/mail does not exist" in message
    fakes.cluster.secret("mail", LOGIN)
    await fakes.until_ready()
    before = {part: digest(fakes, part) for part in ("api", "relay")}
    fakes.cluster.secret("mail", LOGIN | {"password": "another"})
    await fakes.until_ready()
    for _ in range(3):
        fakes.clock.advance(60)
        await fakes.reconcile()
        fakes.cluster.settle()
    assert digest(fakes, "api") == before["api"]
    assert digest(fakes, "relay") != before["relay"]
    del fakes.cluster.objects["Secret", KEY.namespace, "mail"]
    fakes.clock.advance(60)
    await fakes.reconcile()
    assert fakes.conditions()["SecretsReady"][:2] == ("False", "SecretNotFound")
    assert service_values(fakes)[env.MAIL_SMTP_PASSWORD] == "another"


async def test_a_login_that_is_given_up_is_removed() -> None:
    """Without `secretRef` the service's Secret and the pods have no login."""
    fakes = OperatorFakes(accounts=accounts())
    fakes.cluster.secret("mail", LOGIN)
    await fakes.until_ready()
    mail = {name: value for name, value in MAIL.items() if name != "secretRef"}
    fakes.cluster.put(manifest(accounts={"mail": mail}))
    for _ in range(4):
        fakes.clock.advance(60)
        await fakes.reconcile()
        fakes.cluster.settle()
    assert not {*MAIL_LOGIN} & set(service_values(fakes))
    assert not {*MAIL_LOGIN} & files(fakes, "relay")["secrets-janitor"]


async def test_the_janitor_gets_the_bundle_of_the_mail_server() -> None:
    """Its own, and no other process has the file."""
    fakes = OperatorFakes(
        accounts=accounts(tls={"caBundle": {"configMapKeyRef": {"name": "mail-ca"}}})
    )
    fakes.cluster.secret("mail", LOGIN)
    await fakes.reconcile()
    assert fakes.conditions()["WorkloadAvailable"][0] == "False"
    metadata = {"namespace": KEY.namespace, "name": "mail-ca"}
    data = {"ca.crt": Authority().bundle.decode()}
    fakes.cluster.put({"kind": "ConfigMap", "metadata": metadata, "data": data})
    await fakes.until_ready()
    having = [
        container["name"]
        for name in fakes.cluster.names("Deployment")
        for container in fakes.cluster.get("Deployment", name)["spec"]["template"]["spec"][
            "containers"
        ]
        if env.MAIL_CA_FILE in {entry["name"] for entry in container["env"]}
    ]
    assert having == ["janitor"]
