"""Mails: an account verifies its address, and resets its password, also after an outage."""

import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import confidential
import install
import kubectl as k8s
import outside

KIND, NAMESPACE, NAME = "healthingest", "e2e-mail", "posted"
READY_SECONDS = 120.0
MAIL_SECONDS = 240.0
PUBLIC_URL = f"https://{NAME}.example"
EMAIL = f"{secrets.token_hex(6)}@clinic.example"
pytestmark = pytest.mark.story


@pytest.fixture(scope="module", name="api")
def _api() -> Iterator[outside.Api]:
    """A HealthIngest that requires verified addresses, and a mail server."""
    k8s.remove_namespace(NAMESPACE)
    install.user_secrets(NAMESPACE)
    _front()
    try:
        k8s.apply(_manifest(), namespace=NAMESPACE)
        k8s.eventually("Ready=True", lambda: k8s.is_ready(_live()), seconds=READY_SECONDS)
        yield outside.Api(f"{NAME}.example")
    finally:
        k8s.remove_namespace(NAMESPACE)


def test_1_a_new_account_verifies_its_address(api: outside.Api) -> None:
    """The login works only after the link of the mail was used."""
    registered = api.request(
        "POST", "/auth/register", json={"email": EMAIL, "password": _password("first")}
    )
    assert registered.status_code == 201, registered.text
    assert _login(api, _password("first")) == 401
    token = _token("verify", 1)
    assert api.request("POST", "/auth/verify", json={"token": token}).status_code == 204
    assert _login(api, _password("first")) == 200


def test_2_a_mail_waits_for_its_server(api: outside.Api) -> None:
    """The request is answered while the mail server is away, and the mail comes afterwards."""
    _scale(0)
    for email in (EMAIL, "nobody@clinic.example"):
        answer = api.request("POST", "/auth/forgot-password", json={"email": email})
        assert (answer.status_code, answer.content) == (202, b"")
    failed = "deployment/posted-relay", "--container", "janitor"
    k8s.eventually(
        "the janitor logs the failure",
        lambda: "mail_failed" in k8s.kubectl("logs", *failed, "--namespace", NAMESPACE),
        seconds=MAIL_SECONDS,
    )
    _scale(1)
    token = _token("reset-password", 1)
    body = {"token": token, "password": _password("second")}
    assert api.request("POST", "/auth/reset-password", json=body).status_code == 204
    assert api.request("POST", "/auth/reset-password", json=body).status_code == 400
    assert _login(api, _password("first")) == 401
    assert _login(api, _password("second")) == 200


def test_3_the_api_cannot_reach_the_mail_server() -> None:
    """The port outside the cluster is permitted to the pod of the janitor only."""
    having = [
        policy["metadata"]["name"]
        for policy in k8s.items("networkpolicies", NAMESPACE)
        if any(
            port.get("port") == 2525
            for rule in policy["spec"].get("egress", ())
            for port in rule.get("ports", ())
        )
    ]
    assert having == [f"{NAME}-relay"]


def _password(which: str) -> str:
    return confidential.keep("password of a client", f"{which}-{EMAIL.partition('@')[0]}")


def _login(api: outside.Api, password: str) -> int:
    form = {"username": EMAIL, "password": password}
    return api.request("POST", "/auth/jwt/login", data=form).status_code


def _token(page: str, count: int) -> str:
    """Wait for *count* mails with a link to *page*; return the token of the last one."""
    link = re.compile(rf"{re.escape(PUBLIC_URL)}/auth/{page}#([A-Za-z0-9_-]+)")

    def found() -> list[str] | None:
        lines = k8s.kubectl("logs", "deployment/mail-front", "--namespace", NAMESPACE).splitlines()
        mails = [json.loads(line) for line in lines if line.startswith("{")]
        assert {address for mail in mails for address in mail["to"]} <= {EMAIL}
        tokens = [token for mail in mails for token in link.findall(mail["text"])]
        return tokens if len(tokens) >= count else None

    return k8s.eventually(f"a mail with a link to {page}", found, seconds=MAIL_SECONDS)[-1]


def _scale(replicas: int) -> None:
    words = ["--namespace", NAMESPACE, f"--replicas={replicas}"]
    k8s.kubectl("scale", "deployment/mail-front", *words)
    rollout = ["rollout", "status", "deployment/mail-front", "--namespace", NAMESPACE]
    k8s.kubectl(*rollout, "--timeout=120s", seconds=130)
    # a pod that ends still accepts a mail
    k8s.eventually(
        f"{replicas} pods of the mail server",
        lambda: len(k8s.items("pods", NAMESPACE, "app=mail-front")) == replicas,
        seconds=MAIL_SECONDS,
    )


def _manifest() -> dict[str, Any]:
    manifest = install.minimal(NAME)
    manifest["spec"]["replicas"] = 1
    manifest["spec"]["accounts"] = {
        "registration": "VerifiedOnly",
        "mail": {
            "host": f"mail-front.{NAMESPACE}.svc",
            "port": 2525,
            "encryption": "None",
            "sender": "ingest@clinic.example",
            "publicUrl": PUBLIC_URL,
        },
    }
    return manifest


def _live() -> dict[str, Any] | None:
    return k8s.get(KIND, NAME, NAMESPACE)


def _front() -> None:
    """Run the mail server with the image of the service, which has Python."""
    program = (Path(__file__).parent / "mail_front.py").read_text(encoding="utf-8")
    metadata = {"name": "mail-front", "namespace": NAMESPACE}
    data = {"mail_front.py": program}
    k8s.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    labels = {"app": "mail-front"}
    service = {"selector": labels, "ports": [{"port": 2525}]}
    k8s.apply({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service})
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": _pod()},
    }
    k8s.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})
    words = ["rollout", "status", "deployment/mail-front", "--namespace", NAMESPACE]
    k8s.kubectl(*words, "--timeout=120s", seconds=130)


def _pod() -> dict[str, Any]:
    container = {
        "name": "front",
        "image": install.images()["service"],
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "/front/mail_front.py"],
        "ports": [{"containerPort": 2525}],
        "readinessProbe": {"tcpSocket": {"port": 2525}, "periodSeconds": 2},
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "front", "mountPath": "/front"}],
    }
    return {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "front", "configMap": {"name": "mail-front"}}],
    }
