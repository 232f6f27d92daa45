"""
Installs what a platform team starts with: dependencies with their Secrets, and the chart.

`make e2e` calls its functions, `make up` its command line. Passwords are random and created once
for a cluster; the Secret `passwords` of the dependencies' namespace keeps them.
"""

import argparse
import base64
import json
import os
import secrets
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

import kubectl as k8s

ROOT = Path(__file__).resolve().parent.parent
DEPENDENCIES = "healthingest-dependencies"
OPERATOR = "healthingest-system"
RELEASE = "healthingest-operator"
CHART = ROOT / "charts" / RELEASE
MINIMAL = ROOT / "examples" / "01-minimal.yaml"
PREFIX = "e2e-"
"""With which the namespaces of the tests begin."""
READY_SECONDS = 120
SHORT_WAITS: Mapping[str, str] = {"rotation.consumerGraceSeconds": "20"}
"""Values of the chart that shorten waiting times."""


def images() -> dict[str, str]:
    """Return the two images under test, as the Makefile has built and loaded them."""
    return {"service": os.environ["SERVICE_IMAGE"], "operator": os.environ["OPERATOR_IMAGE"]}


def passwords() -> dict[str, str]:
    """Return the passwords of this cluster's dependencies, and create them the first time."""
    found = k8s.get("secret", "passwords", DEPENDENCIES)
    if found is not None:
        return {name: base64.b64decode(value).decode() for name, value in found["data"].items()}
    made = {name: secrets.token_hex(16) for name in ("postgres", "rabbitmq", "redis", "s3")}
    k8s.secret("passwords", DEPENDENCIES, made)
    return made


def dependencies() -> None:
    """Apply `e2e/dependencies`, and wait until all of them are ready."""
    folder = ROOT / "e2e" / "dependencies"
    k8s.apply(folder / "00-namespace.yaml")
    passwords()
    k8s.apply(folder)
    for name in ("postgres", "rabbitmq", "redis", "s3"):
        words = ["rollout", "status", f"deployment/{name}", "--namespace", DEPENDENCIES]
        k8s.kubectl(*words, f"--timeout={READY_SECONDS}s", seconds=READY_SECONDS + 10)


def ingress_controller() -> None:
    """Install an ingress controller if there is no IngressClass, as on a new kind cluster."""
    if not k8s.kubectl("get", "ingressclasses", "--output", "name").strip():
        k8s.apply(ROOT / "e2e" / "kind" / "ingress.yaml")
        words = ["rollout", "status", "deployment/traefik", "--namespace", "ingress"]
        k8s.kubectl(*words, f"--timeout={READY_SECONDS}s", seconds=READY_SECONDS + 10)


def chart(
    service_image: str,
    operator_image: str,
    *,
    folder: Path = CHART,
    more: Mapping[str, str] | None = None,
) -> None:
    """Install or upgrade the operator from the chart in *folder* with *more* values, and wait."""
    k8s.namespace(OPERATOR)
    values = [word for name, value in (more or {}).items() for word in ("--set", f"{name}={value}")]
    for key, image in (("image", operator_image), ("serviceImage", service_image)):
        repository, _, tag = image.rpartition(":")
        values += [
            "--set-string",
            f"{key}.repository={repository}",
            "--set-string",
            f"{key}.tag={tag}",
        ]
    # the tag is the same after every build, so a changed annotation makes the pods start
    # with the new image
    values += ["--set-string", rf"podAnnotations.healthingest\.dev/installed={uuid.uuid4()}"]
    words = ["helm", "upgrade", "--install", RELEASE, str(folder), "--namespace", OPERATOR]
    k8s.run(
        *words,
        *values,
        "--take-ownership",
        "--wait",
        "--timeout",
        f"{READY_SECONDS}s",
        seconds=READY_SECONDS + 30,
    )


def remove_other_releases() -> None:
    """Uninstall the chart from all other namespaces, where an interrupted run has left it."""
    found = json.loads(k8s.run("helm", "list", "--all-namespaces", "--output", "json"))
    for release in found:
        name, home = release["name"], release["namespace"]
        if release["chart"].startswith(f"{RELEASE}-") and (name, home) != (RELEASE, OPERATOR):
            k8s.run("helm", "uninstall", name, "--namespace", home, "--wait", seconds=130)


def remove_leftovers() -> None:
    """
    Delete the namespaces of an interrupted run, with the operator that is installed.

    A HealthIngest in one of them would own a bucket or a virtual host that a test needs.
    """
    for word in k8s.kubectl("get", "namespaces", "--output", "name").split():
        name = word.removeprefix("namespace/")
        if name.startswith(PREFIX):
            k8s.remove_namespace(name)


def user_secrets(namespace: str) -> None:
    """Create the Secrets that the manifests of `examples/` name."""
    words = passwords()
    host = f"{DEPENDENCIES}.svc"
    k8s.namespace(namespace)
    k8s.secret("s3", namespace, {"accessKeyId": "admin", "secretAccessKey": words["s3"]})
    broker = {
        "managementUrl": f"http://rabbitmq.{host}:15672",
        "amqpUrl": f"amqp://rabbitmq.{host}:5672",
    }
    k8s.secret("rabbitmq", namespace, broker | {"username": "admin", "password": words["rabbitmq"]})
    k8s.secret(
        "postgres",
        namespace,
        {"adminUrl": f"postgresql://admin:{words['postgres']}@postgres.{host}:5432/admin"},
    )
    k8s.secret("redis", namespace, {"url": f"redis://:{words['redis']}@redis.{host}:6379/0"})


def minimal(name: str) -> dict[str, Any]:
    """Return the smallest example with another name, bucket, virtual host and host."""
    found: dict[str, Any] = yaml.safe_load(MINIMAL.read_text(encoding="utf-8"))
    found["metadata"]["name"] = name
    spec = found["spec"]
    spec["objectStore"]["bucket"] = f"{name}-health-data"
    spec["broker"]["virtualHost"] = name
    spec["ingress"]["host"] = f"{name}.example"
    return found


def main() -> int:
    """
    Install everything and one example, or the dependencies only.

    The images must be in the cluster already.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--namespace", default="healthingest-demo", help="where the example and its Secrets go"
    )
    parser.add_argument("--example", type=Path, default=MINIMAL)
    parser.add_argument("--service-image", default="")
    parser.add_argument(
        "--operator-image", default="", help="without both images: dependencies and Secrets alone"
    )
    arguments = parser.parse_args()
    dependencies()
    user_secrets(arguments.namespace)
    if arguments.service_image and arguments.operator_image:
        ingress_controller()
        chart(arguments.service_image, arguments.operator_image)
        k8s.apply(arguments.example, namespace=arguments.namespace)
    sys.stdout.write(f"see: kubectl get healthingests --namespace {arguments.namespace} --watch\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
