"""A support bundle: objects, events, logs and versions, redacted, in one archive."""

import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import yaml

from healthingest_plugin import status_tree
from healthingest_plugin.errors import ApiError, PluginError
from healthingest_plugin.explain import explain
from healthingest_plugin.explanation_text import text_of
from healthingest_plugin.kubernetes_api import KubernetesApi
from healthingest_plugin.model import KubernetesObject, Snapshot, object_path
from healthingest_plugin.redaction import Redactor, values_of_secret, values_of_spec

FOLDER: Final = "healthingest-report"
LOG_BYTES: Final = 256 * 1024
"""Of one log; the newest."""
MOST_PODS: Final = 40
MOST_EVENTS: Final = 500
_MODE: Final = 0o600
_EVENT_FIELDS: Final = (
    "type",
    "reason",
    "message",
    "count",
    "firstTimestamp",
    "lastTimestamp",
    "eventTime",
    "source",
    "involvedObject",
)
_README: Final = """\
A report about HealthIngest {namespace}/{name}, made by kubectl healthingest report at {now}.

Left out: Secrets; values of variables, ConfigMaps, annotations and spec.settings; arguments of
containers that are no plain words; the logs in termination messages. Values of Secrets, logins in
addresses, tokens, keys and e-mail addresses are replaced by <redacted> wherever they occur.

Look at it before you send it.
{gaps}"""


@dataclass(slots=True)
class Bundle:
    """Files of the archive by path, and what could not be collected."""

    files: dict[str, str] = field(default_factory=dict)
    gaps: list[str] = field(default_factory=list)


def collect(api: KubernetesApi, snapshot: Snapshot, kubectl: str, log_lines: int) -> Bundle:
    """Return the redacted files; *kubectl* is its version. Raises `ApiError`."""
    bundle = Bundle(gaps=list(snapshot.gaps))
    redactor = Redactor(_secret_values(api, snapshot, bundle))
    operators = snapshot.operator
    served = [*(operators.deployments or ()), *operators.pods, *operators.leases.values()]
    _add_objects(bundle, "objects", redactor, [snapshot.body, *snapshot.children, *snapshot.pods])
    _add_objects(bundle, "operator", redactor, served)
    texts = {
        "explain.txt": text_of(explain(snapshot)),
        "status.txt": "\n".join(status_tree.lines(status_tree.tree(snapshot))) + "\n",
        "versions.json": json.dumps(_versions(api, snapshot, kubectl), indent=2) + "\n",
    }
    for name, text in texts.items():
        bundle.files[name] = redactor.text(text)
    events = _events(api, snapshot, bundle)
    bundle.files["events.yaml"] = _yaml([redactor.manifest(event) for event in events])
    for folder, pods in (("logs", snapshot.pods), ("operator/logs", operators.pods)):
        if len(pods) > MOST_PODS:
            bundle.gaps.append(f"{folder}: {MOST_PODS} of {len(pods)} pods")
        for path, text in _logs(api, pods[:MOST_PODS], log_lines, bundle):
            bundle.files[f"{folder}/{path}"] = redactor.text(text)
    bundle.files["README.txt"] = _readme(snapshot, bundle)
    return bundle


def write(bundle: Bundle, path: Path) -> None:
    """
    Write the archive, readable by its owner alone.

    Raises:
        PluginError: the file exists already.
    """
    try:
        path.touch(mode=_MODE, exist_ok=False)
    except FileExistsError as error:
        message = f"{path} exists: name another file with --output, or remove it"
        raise PluginError(message) from error
    try:
        with tarfile.open(path, "w:gz") as archive:
            for name, text in sorted(bundle.files.items()):
                content = text.encode()
                entry = tarfile.TarInfo(f"{FOLDER}/{name}")
                entry.size = len(content)
                entry.mode = _MODE
                archive.addfile(entry, io.BytesIO(content))
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _secret_values(api: KubernetesApi, snapshot: Snapshot, bundle: Bundle) -> set[str]:
    """Return the values that must not occur; Secrets are read for this alone."""
    values = values_of_spec(snapshot.body.get("spec") or {})
    for name in sorted(_secret_names(snapshot)):
        try:
            secret = api.get(object_path("v1", "Secret", snapshot.namespace, name))
        except ApiError as error:
            bundle.gaps.append(
                f"Secret {name} could not be read ({error.status}): its values are recognised by"
                " their form only"
            )
            continue
        values |= values_of_secret(secret)
    return values


def _secret_names(snapshot: Snapshot) -> set[str]:
    """Return the names of Secrets in the spec, in the status and in pods."""
    names = {str(name) for name in (snapshot.status.get("secrets") or {}).values()}
    for found in (snapshot.body.get("spec") or {}, *(pod["spec"] for pod in snapshot.pods)):
        names |= set(_named_secrets(found))
    return names


def _named_secrets(found: object) -> Iterator[str]:
    if isinstance(found, Mapping):
        for name, value in found.items():
            if name.lower().endswith(("secretref", "secretkeyref")) and isinstance(value, Mapping):
                yield str(value.get("name", ""))
            elif name == "secretName" and isinstance(value, str):
                yield value
            else:
                yield from _named_secrets(value)
    elif isinstance(found, list):
        for entry in found:
            yield from _named_secrets(entry)


def _add_objects(
    bundle: Bundle, folder: str, redactor: Redactor, found: Iterable[KubernetesObject]
) -> None:
    for each in found:
        path = f"{folder}/{each.get('kind', 'Lease')}/{each['metadata']['name']}.yaml"
        bundle.files[path] = _yaml(redactor.manifest(each))


def _events(api: KubernetesApi, snapshot: Snapshot, bundle: Bundle) -> list[dict[str, Any]]:
    try:
        found = api.items("v1", "Event", snapshot.namespace)
    except ApiError as error:
        bundle.gaps.append(f"events could not be read ({error.status})")
        return []
    chosen = [event for event in found if _concerns(event, snapshot)]
    return [
        {name: event[name] for name in _EVENT_FIELDS if event.get(name)}
        for event in chosen[-MOST_EVENTS:]
    ]


def _concerns(event: KubernetesObject, snapshot: Snapshot) -> bool:
    """Whether an event is about the HealthIngest, or an object whose name begins with its name."""
    name = str((event.get("involvedObject") or {}).get("name", ""))
    return name == snapshot.name or name.startswith(f"{snapshot.name}-")


def _logs(
    api: KubernetesApi, pods: Iterable[KubernetesObject], lines: int, bundle: Bundle
) -> Iterator[tuple[str, str]]:
    """Yield the file name and the text of each log; what cannot be read becomes a gap."""
    for pod in pods:
        metadata = pod["metadata"]
        path = f"{object_path('v1', 'Pod', metadata['namespace'], metadata['name'])}/log"
        for container, previous in _instances(pod):
            query = {
                "container": container,
                "tailLines": str(lines),
                "limitBytes": str(LOG_BYTES),
                "previous": str(previous).lower(),
            }
            file = f"{metadata['name']}/{container}{'-previous' if previous else ''}.log"
            try:
                yield file, api.text(path, query)
            except ApiError as error:
                bundle.gaps.append(f"log {file} could not be read ({error.status})")


def _instances(pod: KubernetesObject) -> Iterator[tuple[str, bool]]:
    """Yield each container of a pod, and again with True if an earlier instance has a log."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    restarted = {status["name"] for status in statuses if status.get("restartCount")}
    for container in pod["spec"]["containers"]:
        yield container["name"], False
        if container["name"] in restarted:
            yield container["name"], True


def _versions(api: KubernetesApi, snapshot: Snapshot, kubectl: str) -> dict[str, Any]:
    operators = {
        f"{found['metadata']['namespace']}/{found['metadata']['name']}": [
            container["image"] for container in found["spec"]["template"]["spec"]["containers"]
        ]
        for found in snapshot.operator.deployments or ()
    }
    images = sorted(
        {container["image"] for pod in snapshot.pods for container in pod["spec"]["containers"]}
    )
    return {
        "plugin": version("healthingest"),
        "kubectl": kubectl,
        "kubernetes": api.get("/version").get("gitVersion"),
        "operators": operators,
        "images": images,
    }


def _readme(snapshot: Snapshot, bundle: Bundle) -> str:
    gaps = "".join(f"- {gap}\n" for gap in bundle.gaps)
    return _README.format(
        namespace=snapshot.namespace,
        name=snapshot.name,
        now=f"{snapshot.now:%Y-%m-%dT%H:%M:%SZ}",
        gaps=f"\nWhat could not be collected:\n\n{gaps}" if gaps else "",
    )


def _yaml(value: object) -> str:
    return yaml.safe_dump(json.loads(json.dumps(value)), sort_keys=True)
