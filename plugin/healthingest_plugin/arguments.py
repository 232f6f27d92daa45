"""The command line: `docs/reference/kubectl-plugin.md` is written from this parser."""

import argparse
import re
from pathlib import Path
from typing import Final

from healthingest_contract.conditions import ROTATE_ANNOTATION
from healthingest_plugin.kubectl import KubectlOptions

PROGRAM: Final = "kubectl healthingest"
REQUEST_SECONDS: Final = 10.0
MOST_LOG_LINES: Final = 100_000
_DURATION: Final = re.compile(r"^(\d+(?:\.\d+)?)(s|m|h)?$")
_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0}
_WAITING: Final = {"pause": "2m", "resume": "5m", "rotate": "10m"}
_PAUSE: Final = (
    "Set spec.paused: the operator changes and repairs nothing until it is resumed. A deletion is"
    " carried out all the same."
)
_ROTATE: Final = f"Request a rotation by the annotation {ROTATE_ANNOTATION}."
EXIT_CODES: Final = {
    0: "done; for `status` and `explain`: Ready; for `diff`: no difference",
    1: "not Ready, or a difference",
    2: "the command was not carried out; the message says why",
}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    built = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Look after HealthIngests: see why one is not ready, pause it, rotate its"
        " credentials, collect a report.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="exit codes:\n"
        + "\n".join(f"  {code}  {text.replace('`', '')}" for code, text in EXIT_CODES.items()),
    )
    commands = built.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _reading(commands)
    _acting(commands)
    _report(commands)
    return built


def kubectl_options(options: argparse.Namespace) -> KubectlOptions:
    """Return the options that choose cluster and user."""
    return KubectlOptions(
        options.kubeconfig, options.context, options.cluster, options.user, options.impersonate
    )


def seconds(text: str) -> float:
    """Return the seconds of a duration such as `30s`, `5m` or `1h`."""
    found = _DURATION.match(text)
    if found is None or not float(found[1]):
        message = f"{text!r} is no duration greater than 0, such as 30s, 5m or 1h"
        raise argparse.ArgumentTypeError(message)
    return float(found[1]) * _UNITS[found[2] or "s"]


def log_lines(text: str) -> int:
    """Return a number of lines."""
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= MOST_LOG_LINES:
        message = f"{text!r} is no number from 1 to {MOST_LOG_LINES}"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def _reading(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    status = commands.add_parser(
        "status",
        help="show what depends on what, with the state of each part",
        description="Show conditions, dependencies, workload and pods of a HealthIngest as a tree."
        " Without NAME: one line for each HealthIngest.",
    )
    status.add_argument("name", nargs="?", metavar="NAME", help="name of the HealthIngest")
    status.add_argument(
        "-A", "--all-namespaces", action="store_true", help="without NAME: of all namespaces"
    )
    explain = commands.add_parser(
        "explain",
        help="name the cause why it is not ready, and the remedy",
        description="Name the cause why a HealthIngest is not ready, the remedy, where to look, and"
        " what is only a consequence.",
    )
    explain.add_argument("name", metavar="NAME", help="name of the HealthIngest")
    for command in (status, explain):
        command.add_argument(
            "-o", "--output", choices=("text", "json"), default="text", help="form of the output"
        )
    diff = commands.add_parser(
        "diff",
        help="show what the operator would change in the namespace",
        description="Show what the operator would change in the objects of a HealthIngest, as a"
        " unified diff. Secrets are never read; broker, bucket and database are not compared.",
    )
    diff.add_argument("name", metavar="NAME", help="name of the HealthIngest")
    for command in (status, explain, diff):
        _common(command)


def _acting(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    texts = {
        "pause": ("let the operator change nothing", _PAUSE),
        "resume": ("let the operator work again", "Set spec.paused to false."),
        "rotate": ("replace the credentials that the operator made", _ROTATE),
    }
    for name, (short, long) in texts.items():
        command = commands.add_parser(name, help=short, description=long)
        command.add_argument("name", metavar="NAME", help="name of the HealthIngest")
        command.add_argument("--wait", action="store_true", help="wait until it has taken effect")
        command.add_argument(
            "--timeout",
            type=seconds,
            default=_WAITING[name],
            metavar="DURATION",
            help=f"longest wait; default {_WAITING[name]}",
        )
        _common(command)


def _report(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    report = commands.add_parser(
        "report",
        help="write a redacted support bundle",
        description="Write objects, events, logs and versions into an archive. Values of Secrets,"
        " ConfigMaps, variables and annotations are left out, and e-mail addresses, too.",
    )
    report.add_argument("name", metavar="NAME", help="name of the HealthIngest")
    report.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="archive to write (.tar.gz); it must not exist",
    )
    report.add_argument(
        "--log-lines",
        type=log_lines,
        default=500,
        metavar="N",
        help=f"newest lines of each log, 1 to {MOST_LOG_LINES}; default 500",
    )
    _common(report)


def _common(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("cluster")
    group.add_argument("-n", "--namespace", help="namespace; default: that of the context")
    group.add_argument("--context", help="context of the kubeconfig")
    group.add_argument("--kubeconfig", help="kubeconfig file; default: as kubectl chooses it")
    group.add_argument("--cluster", help="cluster of the kubeconfig")
    group.add_argument("--user", help="user of the kubeconfig")
    group.add_argument("--as", dest="impersonate", metavar="USER", help="user to impersonate")
    group.add_argument(
        "--operator-namespace",
        help="namespace of the operator; default: it is searched in all namespaces",
    )
    group.add_argument(
        "--request-timeout",
        type=seconds,
        default=f"{REQUEST_SECONDS:.0f}s",
        metavar="DURATION",
        help=f"deadline of each request; default {REQUEST_SECONDS:.0f}s",
    )
