"""
Records a run from its beginning to its end: each version of each Secret, and all texts.

Namespaces are deleted and pods replaced during the run, so everything must be recorded at once.
`kubectl proxy` provides the login, on a socket in a private folder.
"""

import asyncio
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import httpx

import confidential
import kubectl as k8s

SPACES: Final = re.compile(r"(e2e|healthingest)-.*")
CORE = "/api/v1"
API = "/apis/healthingest.dev/v1alpha1"
WATCHED: Final = {
    "secrets": f"{CORE}/secrets",
    "configmaps": f"{CORE}/configmaps",
    "events": f"{CORE}/events",
    "pods": f"{CORE}/pods",
    "deployments": "/apis/apps/v1/deployments",
    "jobs": "/apis/batch/v1/jobs",
    "healthingests": f"{API}/healthingests",
}
WATCH_SECONDS: Final = 50
REFUSALS: Final = {401, 403}
RETRY_SECONDS: Final = 0.5
ATTEMPTS: Final = 5
START_SECONDS: Final = 15.0


class Witness:
    """
    Recorded texts are in files of *folder*, one for each kind of object and each container.

    `secrets` has each confidential value with its place. `unheard` has containers whose log could
    not be read, and kinds that could not be watched.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.secrets: dict[str, str] = {}
        self.unheard: set[str] = set()
        self._containers: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._client: httpx.AsyncClient

    def findings(self) -> dict[str, set[str]]:
        """Return the found values by place, with the files that contain them."""
        owners = {
            form: owner
            for value, owner in (self.secrets | dict(confidential.of_clients())).items()
            for form in confidential.forms(value)
        }
        search = confidential.Search(owners)
        found: dict[str, set[str]] = {}
        for path in self.heard():
            for form in search.found_in(path.read_bytes()):
                found.setdefault(owners[form], set()).add(path.name)
        return found

    def heard(self) -> list[Path]:
        """Return the files."""
        return sorted(self.folder.glob("*.txt"))

    def text(self, name: str) -> str:
        """Return the content of the files whose name contains *name*."""
        return "".join(
            path.read_text(errors="replace") for path in self.heard() if name in path.name
        )

    async def listen(self, socket: Path, over: asyncio.Event) -> None:
        """Record until *over* is set."""
        transport = httpx.AsyncHTTPTransport(
            uds=str(socket), limits=httpx.Limits(max_connections=None)
        )
        timeout = httpx.Timeout(10.0, read=None)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost", timeout=timeout
        ) as self._client:
            for kind, path in WATCHED.items():
                self._begin(self._watch(kind, path))
            await over.wait()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, work: Any) -> None:  # noqa: ANN401 - a coroutine
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watch(self, kind: str, path: str) -> None:
        """
        Record every version of every object.

        Starts again when the server no longer has the last version.
        """
        version = ""
        while True:
            try:
                version = await self._watch_from(
                    kind, path, version or await self._list(kind, path)
                )
            except httpx.HTTPError as error:  # the kind is not known yet, or the server is busy
                if (
                    isinstance(error, httpx.HTTPStatusError)
                    and error.response.status_code in REFUSALS
                ):
                    self.unheard.add(f"{kind}: {error}")
                version = ""
                await asyncio.sleep(RETRY_SECONDS)

    async def _list(self, kind: str, path: str) -> str:
        listed = (await self._client.get(path)).raise_for_status().json()
        for item in listed["items"]:
            self._see(kind, item)
        version: str = listed["metadata"]["resourceVersion"]
        return version

    async def _watch_from(self, kind: str, path: str, version: str) -> str:
        query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": str(WATCH_SECONDS)}
        async with self._client.stream(
            "GET", path, params=query | {"allowWatchBookmarks": "true"}
        ) as answer:
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return ""
                version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    self._see(kind, event["object"])
        return version

    def _see(self, kind: str, item: dict[str, Any]) -> None:
        metadata = item["metadata"]
        if not SPACES.fullmatch(metadata["namespace"]):
            return
        if kind == "secrets":
            self.secrets.update(confidential.of_secret(item))
            return
        with (self.folder / f"{kind}.txt").open("a") as file:
            file.write(json.dumps(item) + "\n")
        if kind == "pods":
            self._see_containers(metadata, item.get("status") or {})

    def _see_containers(self, metadata: dict[str, Any], status: dict[str, Any]) -> None:
        for found in [
            *status.get("initContainerStatuses", ()),
            *status.get("containerStatuses", ()),
        ]:
            run = found.get("containerID") or ""
            if run and run not in self._containers:
                self._containers.add(run)
                self._begin(
                    self._follow(metadata["namespace"], metadata["name"], found["name"], run[-12:])
                )

    async def _follow(self, namespace: str, pod: str, container: str, run: str) -> None:
        """Record the log of one run of a container, and repeat it after a lost connection."""
        name = f"log {namespace} {pod} {container} {run}"
        path = f"{CORE}/namespaces/{namespace}/pods/{pod}/log"
        for _ in range(ATTEMPTS):
            with suppress(httpx.HTTPError):
                query = {"container": container, "follow": "true"}
                async with self._client.stream("GET", path, params=query) as answer:
                    if answer.is_success:
                        with (self.folder / f"{name}.txt").open("ab", buffering=0) as file:
                            async for piece in answer.aiter_raw():
                                file.write(piece)
                        return
            await asyncio.sleep(RETRY_SECONDS)
        self.unheard.add(name)


@contextmanager
def witness(folder: Path) -> Iterator[Witness]:
    """Record while the context is open."""
    heard = folder / "heard"
    heard.mkdir(mode=0o700)
    listener = Witness(heard)
    socket = folder / "kubectl"
    with _proxy(socket):
        loop = asyncio.new_event_loop()
        over = asyncio.Event()
        thread = threading.Thread(
            target=loop.run_until_complete, args=(listener.listen(socket, over),)
        )
        thread.start()
        try:
            yield listener
        finally:
            loop.call_soon_threadsafe(over.set)
            thread.join(START_SECONDS)
            loop.close()


@contextmanager
def _proxy(socket: Path) -> Iterator[None]:
    process = subprocess.Popen(
        ["kubectl", "proxy", f"--unix-socket={socket}"], stdout=subprocess.DEVNULL
    )
    try:
        k8s.eventually("kubectl proxy", socket.is_socket, seconds=START_SECONDS)
        yield
    finally:
        process.terminate()
        process.wait(START_SECONDS)
