"""A disk of a size that can be filled: a tmpfs, where this process may mount one."""

import errno
import os
import pwd
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024
MOUNT_SECONDS = 10


@dataclass(frozen=True)
class Disk:
    """A small disk, at `folder`."""

    folder: Path

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"

    def fill(self) -> None:
        """Leave no byte free."""
        with self._ballast.open("ab", buffering=0) as file:
            for size_bytes in (MIB, 1024, 1):
                _write_until_full(file.fileno(), bytes(size_bytes))

    def free(self) -> None:
        """Give back what `fill` took. Calling twice is safe."""
        self._ballast.unlink(missing_ok=True)


def _write_until_full(descriptor: int, data: bytes) -> None:
    try:
        while True:
            os.write(descriptor, data)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise


@contextmanager
def small_disk(folder: Path, *, size_mib: int, owner: str | None = None) -> Iterator[Disk]:
    """
    A disk at the empty folder *folder*, of the user *owner*. Needs root and leave to mount.

    Mounts belong to the namespace of this process: run under `unshare --mount`, nothing stays
    behind when it is killed.
    """
    entry = pwd.getpwnam(owner or "root")
    options = f"size={size_mib}m,mode=700,uid={entry.pw_uid},gid={entry.pw_gid}"
    words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    subprocess.run(words, check=True, timeout=MOUNT_SECONDS, capture_output=True)
    try:
        yield Disk(folder)
    finally:
        words = ["umount", "--lazy", str(folder)]
        subprocess.run(words, check=False, timeout=MOUNT_SECONDS, capture_output=True)
