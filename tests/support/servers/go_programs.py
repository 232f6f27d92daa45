"""
Programs that tests need and no Debian package has, built from their Go modules by `make servers`.

They are kept in the user's cache, outside the checkout, so that the next checkout does not build
them again.
"""

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from support.servers.process import ServerUnavailableError

CACHE: Final = (
    Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "healthingest" / "bin"
)
BUILD_SECONDS: Final = 1800
_KSTATUS_SOURCE: Final = Path(__file__).resolve().parents[2] / "kstatus"


@dataclass(frozen=True)
class GoProgram:
    """A Go program: of `module` at a version, or of the folder `source` when given."""

    name: str
    module: str = ""
    source: Path | None = None

    @property
    def path(self) -> Path:
        """Where it lies once it is built; the name changes with its version or source."""
        if self.source is None:
            stamp = self.module.partition("@")[2]
        else:
            content = b"".join(
                path.read_bytes() for path in sorted(self.source.iterdir()) if path.is_file()
            )
            stamp = hashlib.sha256(content).hexdigest()[:12]
        return CACHE / f"{self.name}-{stamp}"

    def find(self) -> str:
        """
        Return the path of the program.

        Raises:
            ServerUnavailableError: it is not built.
        """
        found = str(self.path) if self.path.exists() else shutil.which(self.name)
        if found is None:
            message = f"no program `{self.name}`: `make servers` builds it where Go is"
            raise ServerUnavailableError(message)
        return found

    def build(self, go: str) -> str | None:
        """Build it; returns None, or the last line of what Go said."""
        CACHE.mkdir(parents=True, exist_ok=True)
        # Two runs may build at once: each into a folder of its own, then moved into place.
        folder = CACHE / f".{self.name}.{os.getpid()}"
        folder.mkdir()
        environment = os.environ | {"CGO_ENABLED": "0", "GOBIN": str(folder)}
        if self.source is None:
            command = [go, "install", self.module]
            where = None
        else:
            words = ["-buildvcs=false", "-mod=readonly", "-o", str(folder / self.name), "."]
            command = [go, "build", *words]
            where = self.source
        try:
            done = subprocess.run(
                command,
                cwd=where,
                env=environment,
                capture_output=True,
                text=True,
                timeout=BUILD_SECONDS,
                check=False,
            )
            if done.returncode != 0:
                return (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
            (folder / self.name).replace(self.path)
        except subprocess.TimeoutExpired:
            return f"not built within {BUILD_SECONDS} s"
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return None


VERSITYGW: Final = GoProgram(
    "versitygw", module="github.com/versity/versitygw/cmd/versitygw@v1.8.0"
)
KSTATUS: Final = GoProgram("healthingest-kstatus", source=_KSTATUS_SOURCE)
PROGRAMS: Final = (VERSITYGW, KSTATUS)


@dataclass(frozen=True)
class GoModule:
    """A Go module at a version, of which tests read files; Go keeps it in its own cache."""

    name: str
    version: str

    def find(self) -> Path | None:
        """Return its folder; None: there is no Go, or it is not downloaded."""
        go = shutil.which("go")
        if go is None:
            return None
        command = [go, "env", "GOMODCACHE"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        folder = Path(done.stdout.strip()) / f"{self.name}@{self.version}"
        return folder if folder.is_dir() else None

    def download(self, go: str) -> str | None:
        """Download it; returns None, or the last line of what Go said."""
        command = [go, "mod", "download", f"{self.name}@{self.version}"]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return f"not downloaded within {BUILD_SECONDS} s"
        if done.returncode != 0:
            return (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        return None


GATEWAY_API: Final = GoModule("sigs.k8s.io/gateway-api", "v1.4.0")


def missing() -> list[GoProgram]:
    """Programs that are neither built nor on PATH."""

    def is_missing(program: GoProgram) -> bool:
        try:
            program.find()
        except ServerUnavailableError:
            return True
        return False

    return [program for program in PROGRAMS if is_missing(program)]
