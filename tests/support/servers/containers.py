"""Servers out of images, for machines that have a container engine but no Debian packages."""

import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from support.servers.process import START_SECONDS, ServerUnavailableError, wait_until


def engine() -> str:
    """
    The engine's program.

    Raises:
        ServerUnavailableError: there is none, or its daemon does not answer.
    """
    for name in ("docker", "podman"):
        found = shutil.which(name)
        if (
            found
            and subprocess.run(
                [found, "info"], capture_output=True, timeout=20, check=False
            ).returncode
            == 0
        ):
            return found
    message = "no Debian package, and no container engine that answers"
    raise ServerUnavailableError(message)


@contextmanager
def container(
    image: str,
    *,
    ports: Sequence[int],
    environment: Mapping[str, str] | None = None,
    arguments: Sequence[str] = (),
    ready: Callable[[Mapping[int, int]], bool],
) -> Iterator[Mapping[int, int]]:
    """
    Run *image*; yields which port of loopback leads to each of its *ports*.

    Raises:
        ServerUnavailableError: no engine, or no such image.
    """
    program = engine()
    words = [program, "run", "--rm", "--detach"]
    for port in ports:
        words += ["--publish", f"127.0.0.1::{port}"]
    for name, value in (environment or {}).items():
        words += ["--env", f"{name}={value}"]
    started = subprocess.run(
        [*words, image, *arguments], capture_output=True, text=True, timeout=300, check=False
    )
    if started.returncode:
        message = f"{program} cannot run {image}"
        raise ServerUnavailableError(message)
    name = started.stdout.strip().splitlines()[-1]
    try:
        mapped = {port: _published(program, name, port) for port in ports}
        wait_until(lambda: ready(mapped), seconds=START_SECONDS, what=image, process=None)
        yield mapped
    finally:
        subprocess.run(
            [program, "rm", "--force", name], capture_output=True, timeout=60, check=False
        )


def _published(program: str, name: str, port: int) -> int:
    shown = subprocess.run(
        [program, "port", name, str(port)], capture_output=True, text=True, timeout=20, check=True
    )
    return int(shown.stdout.strip().splitlines()[0].rsplit(":", 1)[1])
