"""The commands of `kubectl healthingest`, each with what it works with."""

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TextIO

from healthingest_plugin import actions, observe, report, status_tree
from healthingest_plugin.arguments import kubectl_options
from healthingest_plugin.diff import differences, general_notes
from healthingest_plugin.explain import Explanation, explain
from healthingest_plugin.explanation_text import text_of
from healthingest_plugin.faults import PAUSED
from healthingest_plugin.kubectl import versions
from healthingest_plugin.kubernetes_api import KubernetesApi
from healthingest_plugin.model import Snapshot

NOT_READY: Final = 1


@dataclass(frozen=True, slots=True)
class Command:
    """What a command works with."""

    api: KubernetesApi
    options: argparse.Namespace
    namespace: str
    out: TextIO

    def snapshot(self) -> Snapshot:
        """Return the HealthIngest that the command line names, and all that belongs to it."""
        options = self.options
        return observe.snapshot(self.api, self.namespace, options.name, options.operator_namespace)

    def write(self, text: str) -> None:
        """Print a line."""
        self.out.write(f"{text}\n")


def _status(command: Command) -> int:
    if command.options.name is None:
        return _overview(command)
    found = command.snapshot()
    root = status_tree.tree(found)
    if command.options.output == "json":
        command.write(json.dumps(root.as_json(), indent=2))
    else:
        for line in status_tree.lines(root):
            command.write(line)
        for gap in found.gaps:
            command.write(f"Note: {gap}")
    return 0 if status_tree.is_ready_now(found.body) else NOT_READY


def _overview(command: Command) -> int:
    namespace = None if command.options.all_namespaces else command.namespace
    found = observe.healthingests(command.api, namespace)
    if command.options.output == "json":
        ready = {
            f"{body['metadata']['namespace']}/{body['metadata']['name']}": (
                status_tree.is_ready_now(body)
            )
            for body in found
        }
        command.write(json.dumps(ready, indent=2))
    elif found:
        for line in status_tree.table(found, command.api.now):
            command.write(line)
    else:
        command.write(f"no HealthIngest in {namespace or 'any namespace'}")
    return 0 if all(status_tree.is_ready_now(body) for body in found) else NOT_READY


def _explain(command: Command) -> int:
    found = explain(command.snapshot())
    if command.options.output == "json":
        command.write(json.dumps(found.as_json(), indent=2))
    else:
        command.out.write(text_of(found))
    return 0 if _is_well(found) else NOT_READY


def _is_well(found: Explanation) -> bool:
    """Whether it is ready, and nothing is wrong except that it may be paused."""
    return found.is_ready and (found.cause is None or found.cause.reason == PAUSED.reason)


def _diff(command: Command) -> int:
    found = command.snapshot()
    different = False
    for change in differences(found, command.api.apply_dry_run):
        for note in change.notes:
            command.write(f"# {change.ref}: {note}")
        if change.text:
            command.write(change.text)
        different = True
    for note in general_notes(found):
        command.write(f"# {note}")
    if not different:
        command.write("# the operator would change nothing in the namespace")
    return NOT_READY if different else 0


def _pause(command: Command) -> int:
    return _carry_out(command, actions.pause(command.api, command.namespace, command.options.name))


def _resume(command: Command) -> int:
    return _carry_out(command, actions.resume(command.api, command.namespace, command.options.name))


def _rotate(command: Command) -> int:
    options = command.options
    change = actions.rotate(command.api, command.namespace, options.name, wait=options.wait)
    return _carry_out(command, change)


def _carry_out(command: Command, change: actions.Change) -> int:
    """Say what was done, and wait for its effect if asked to."""
    options = command.options
    command.write(change.text)
    if options.wait:
        command.out.flush()
        actions.wait_for(command.api, command.namespace, options.name, change, options.timeout)
        command.write(f"Done: {change.goal}.")
    return 0


def _report(command: Command) -> int:
    options = command.options
    found = command.snapshot()
    kubectl = versions(kubectl_options(options))
    bundle = report.collect(command.api, found, kubectl, options.log_lines)
    report.write(bundle, options.output)
    command.write(f"{options.output}: {len(bundle.files)} files. Look at it before you send it.")
    for gap in bundle.gaps:
        command.write(f"Note: {gap}")
    return 0


COMMANDS: Final[Mapping[str, Callable[[Command], int]]] = {
    "status": _status,
    "explain": _explain,
    "diff": _diff,
    "pause": _pause,
    "resume": _resume,
    "rotate": _rotate,
    "report": _report,
}
