"""RabbitMQ with its management API: one broker a run, one virtual host a test."""

import base64
import json
import socket
import subprocess
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from support.servers.containers import container
from support.servers.process import (
    ServerProcess,
    ServerUnavailableError,
    as_user,
    free_port,
    program,
    running,
    wait_until,
    work_folder,
)

USER = "healthingest"
PASSWORD = "rabbitmq-test-password"


@dataclass(frozen=True)
class RabbitMQServer:
    """
    A running broker and one of its virtual hosts.

    `process` is None where it runs in a container.
    """

    amqp_port: int
    management_port: int
    virtual_host: str = "/"
    username: str = USER
    password: str = PASSWORD
    process: ServerProcess | None = None

    @property
    def broker_url(self) -> str:
        """Host and port only, as the operator's secret has it."""
        return f"amqp://127.0.0.1:{self.amqp_port}"

    @property
    def amqp_url(self) -> str:
        """With user, password and virtual host."""
        address = f"127.0.0.1:{self.amqp_port}/{quote(self.virtual_host, safe='')}"
        return f"amqp://{self.username}:{self.password}@{address}"

    @property
    def management_url(self) -> str:
        """The management API, without credentials."""
        return f"http://127.0.0.1:{self.management_port}"

    # ANN401: a JSON value
    def call(self, method: str, path: str, body: object | None = None) -> Any:  # noqa: ANN401
        """
        One call of the management API; *path* begins with `/api/`.

        Raises HTTPError on a status of 400 and more.
        """
        token = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        request = urllib.request.Request(  # noqa: S310 - our own server
            self.management_url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Basic {token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - our own server
            content = answer.read()
        return json.loads(content) if content else None

    def control(self, *words: str) -> None:
        """
        Run `rabbitmqctl`, for what the management API cannot do.

        Raises:
            ServerUnavailableError: the broker runs in a container.
        """
        if self.process is None:
            message = "no rabbitmqctl: the broker runs in a container"
            raise ServerUnavailableError(message)
        command = [*as_user("rabbitmq"), "/usr/lib/rabbitmq/bin/rabbitmqctl", *words]
        environment = dict(self.process.environment)
        subprocess.run(
            command,
            env=environment,
            cwd=self.process.folder,
            capture_output=True,
            timeout=60,
            check=True,
        )

    @contextmanager
    def memory_alarm(self) -> Iterator[None]:
        """While it lasts no publisher is heard."""
        self.control("set_vm_memory_high_watermark", "0.000001")
        try:
            wait_until(lambda: not self._is_calm(), seconds=30, what="the alarm", process=None)
            yield
        finally:
            self.control("set_vm_memory_high_watermark", "0.6")
            wait_until(self._is_calm, seconds=30, what="the end of the alarm", process=None)

    def _is_calm(self) -> bool:
        try:
            self.call("GET", "/api/health/checks/alarms")
        except urllib.error.HTTPError:
            return False
        return True

    @contextmanager
    def new_virtual_host(self) -> Iterator["RabbitMQServer"]:
        """A virtual host of its own, deleted at the end."""
        name = f"test-{uuid.uuid4().hex}"
        self.call("PUT", f"/api/vhosts/{name}", {})
        self.call(
            "PUT",
            f"/api/permissions/{name}/{self.username}",
            {"configure": ".*", "write": ".*", "read": ".*"},
        )
        try:
            yield replace(self, virtual_host=name)
        finally:
            self.call("DELETE", f"/api/vhosts/{name}")

    def answers(self) -> bool:
        """Whether the management API serves and AMQP is open."""
        try:
            return bool(self.call("GET", "/api/overview")["listeners"])
        except (OSError, urllib.error.URLError, KeyError, ValueError):
            return False


@contextmanager
def rabbitmq_server() -> Iterator[RabbitMQServer]:
    """
    A broker on free ports, with an epmd of its own.

    Raises:
        ServerUnavailableError: neither the package nor an image is to be had.
    """
    script = Path(
        "/usr/lib/rabbitmq/bin/rabbitmq-server"
    )  # the one on PATH insists on the machine's own folders
    if not script.exists():
        environment = {"RABBITMQ_DEFAULT_USER": USER, "RABBITMQ_DEFAULT_PASS": PASSWORD}
        with container(
            "rabbitmq:4-management",
            ports=[5672, 15672],
            environment=environment,
            ready=lambda p: RabbitMQServer(p[5672], p[15672]).answers(),
        ) as ports:
            yield RabbitMQServer(ports[5672], ports[15672])
        return
    server = RabbitMQServer(free_port(), free_port())
    owner = "rabbitmq"
    with work_folder(owner) as folder:
        environment = _environment(server, folder)
        with _epmd(owner, folder, environment):
            command = [*as_user(owner), str(script)]
            with running(
                command, folder=folder, environment=environment, ready=server.answers
            ) as process:
                yield replace(server, process=process)


def _environment(server: RabbitMQServer, folder: Path) -> dict[str, str]:
    config = folder / "rabbitmq.conf"
    config.write_text(
        f"listeners.tcp.default = 127.0.0.1:{server.amqp_port}\n"
        f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {server.management_port}\n"
        f"default_user = {USER}\ndefault_pass = {PASSWORD}\nlog.console = true\nlog.file = false\n"
    )
    plugins = folder / "enabled_plugins"
    plugins.write_text("[rabbitmq_management].\n")
    return {
        "HOME": str(folder),
        # the script becomes the broker, instead of watching over it: a kill hits
        "RUNNING_UNDER_SYSTEMD": "1",
        "RABBITMQ_NODENAME": f"test-{uuid.uuid4().hex[:8]}@{socket.gethostname().split('.')[0]}",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(server.amqp_port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "ERL_EPMD_PORT": str(free_port()),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_CONFIG_FILE": str(config.with_suffix("")),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        # two schedulers spinning would starve the tests
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
    }


@contextmanager
def _epmd(owner: str, folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """Erlang's port mapper in the foreground, so that it ends with the test run."""
    command = [*as_user(owner), program("epmd"), "-port", environment["ERL_EPMD_PORT"]]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**environment, "PATH": "/usr/bin:/bin"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()
