"""The command `kubectl healthingest`: composition root."""

import sys
from collections.abc import Sequence
from typing import Final

from healthingest_plugin.arguments import PROGRAM, kubectl_options, parser
from healthingest_plugin.errors import PluginError
from healthingest_plugin.kubectl import proxy

FAILED: Final = 2
INTERRUPTED: Final = 130
"""As a shell reports SIGINT."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code (`arguments.EXIT_CODES`)."""
    options = parser().parse_args(arguments)
    try:
        with proxy(kubectl_options(options)) as starting:
            # Most of the time goes into these imports: kubectl starts meanwhile.
            from healthingest_plugin.commands import COMMANDS, Command  # noqa: PLC0415
            from healthingest_plugin.kubernetes_api import kubernetes_api  # noqa: PLC0415

            opened = starting.ready()
            namespace = options.namespace or opened.namespace
            with kubernetes_api(opened, options.request_timeout) as api:
                return COMMANDS[options.command](Command(api, options, namespace, sys.stdout))
    except (PluginError, OSError) as error:
        sys.stderr.write(f"{PROGRAM}: {error}\n")
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
