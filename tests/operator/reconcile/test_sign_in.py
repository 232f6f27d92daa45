"""Sign-in at identity providers in a reconciliation."""

import base64
import copy
import json
from typing import Any, Final

from healthingest_contract import environment as env
from healthingest_operator.resources.names import config_map, service_secret
from healthingest_operator.resources.pods import DIGEST_ANNOTATION
from support.operator_fakes import KEY, OperatorFakes, manifest

URL: Final = "https://login.clinic.example"
SIGN_IN: Final = {
    "displayName": "Clinic",
    "clientId": "page",
    "clientSecretRef": {"name": "client"},
    "redirectUris": ["https://app.clinic.example/signed-in"],
}
RULE: Final = {"group": "sleep-team", "study": "sleep", "roles": ["reader", "manager"]}
SECRET: Final = {"clientSecret": 'hush "hush"'}


def accounts(**sign_in: Any) -> dict[str, Any]:  # noqa: ANN401 - a part of a manifest
    """Return `spec.accounts` with an identity provider."""
    issuer = {
        "url": URL,
        "audience": "healthingest",
        "groupRoles": [RULE],
        "signIn": SIGN_IN | sign_in,
    }
    return copy.deepcopy({"oidc": {"issuers": [issuer]}})


def digest(fakes: OperatorFakes, component: str) -> str:
    """Return the digest of the pods of a Deployment."""
    deployment = fakes.cluster.get("Deployment", f"{KEY.name}-{component}")
    found: str = deployment["spec"]["template"]["metadata"]["annotations"][DIGEST_ANNOTATION]
    return found


def having(fakes: OperatorFakes) -> set[str]:
    """Return the volumes that have the client secrets."""
    volumes = [
        volume
        for name in fakes.cluster.names("Deployment")
        for volume in fakes.cluster.get("Deployment", name)["spec"]["template"]["spec"]["volumes"]
    ]
    return {one["name"] for one in volumes if env.OIDC_CLIENT_SECRETS in str(one)}


def client_secrets(fakes: OperatorFakes) -> str | None:
    """Return the client secrets in the service's Secret."""
    value = fakes.cluster.get("Secret", service_secret(KEY))["data"].get(env.OIDC_CLIENT_SECRETS)
    return None if value is None else base64.b64decode(value).decode()


async def test_the_api_gets_the_client_and_its_secret() -> None:
    """No other process has the secret, and it is in no ConfigMap."""
    fakes = OperatorFakes(accounts=accounts())
    fakes.cluster.secret("client", SECRET)
    await fakes.until_ready()
    assert json.loads(client_secrets(fakes) or "") == {URL: SECRET["clientSecret"]}
    assert having(fakes) == {"secrets-api"}
    data = fakes.cluster.get("ConfigMap", config_map(KEY))["data"]
    (issuer,) = json.loads(data[env.OIDC_ISSUERS])
    assert (issuer["name"], issuer["client_id"]) == ("Clinic", "page")
    assert (issuer["redirect_uris"], issuer["scopes"]) == (SIGN_IN["redirectUris"], ["openid"])
    assert issuer["group_roles"] == [RULE]
    assert "hush" not in str(data)


async def test_a_secret_that_changes_replaces_the_pods_of_the_api() -> None:
    """A missing one is named in a condition, and running pods keep theirs."""
    fakes = OperatorFakes(accounts=accounts())
    await fakes.reconcile()
    status, reason, message = fakes.conditions()["SecretsReady"]
    assert (status, reason) == ("False", "SecretNotFound")
    assert f"Secret {KEY.namespace}/client does not exist" in message
    fakes.cluster.secret("client", SECRET)
    await fakes.until_ready()
    before = {part: digest(fakes, part) for part in ("api", "relay")}
    fakes.cluster.secret("client", {"clientSecret": "another"})
    await fakes.until_ready()
    for _ in range(3):
        fakes.clock.advance(60)
        await fakes.reconcile()
        fakes.cluster.settle()
    assert digest(fakes, "api") != before["api"]
    assert digest(fakes, "relay") == before["relay"]
    del fakes.cluster.objects["Secret", KEY.namespace, "client"]
    fakes.clock.advance(60)
    await fakes.reconcile()
    assert fakes.conditions()["SecretsReady"][:2] == ("False", "SecretNotFound")
    assert "another" in str(client_secrets(fakes))


async def test_a_public_client_has_no_secret() -> None:
    """Neither does one that has given up its secret."""
    fakes = OperatorFakes(accounts=accounts())
    fakes.cluster.secret("client", SECRET)
    await fakes.until_ready()
    public = accounts()
    del public["oidc"]["issuers"][0]["signIn"]["clientSecretRef"]
    fakes.cluster.put(manifest(accounts=public))
    for _ in range(4):
        fakes.clock.advance(60)
        await fakes.reconcile()
        fakes.cluster.settle()
    assert client_secrets(fakes) is None
    assert not having(fakes)
