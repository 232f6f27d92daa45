"""The port `Spool`, on local disk."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from healthingest_service.adapters.spool import DiskSpool, DiskSpoolFile
from healthingest_service.uploads.errors import SpoolFullError, SpoolUnavailableError
from healthingest_service.uploads.ports import SMALL_BODY_BYTES
from support.uploads import sha256


@pytest.fixture
def spool(tmp_path: Path) -> DiskSpool:
    """Room for a thousand bytes."""
    return DiskSpool(tmp_path / "spool", max_bytes=1000)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount a small file system")
    yield folder
    subprocess.run(["umount", folder], check=True)


def _die_in_a_body(folder: Path) -> int:
    code = (
        "import asyncio, os, pathlib, sys\n"
        "from healthingest_service.adapters.spool import DiskSpool\n"
        "async def main():\n"
        "    async with DiskSpool(pathlib.Path(sys.argv[1]), max_bytes=1000).open() as file:\n"
        "        await file.write(b'x'); file.on_disk(); os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code, str(folder)], check=False, timeout=30
    ).returncode


def left(folder: Path) -> list[Path]:
    """Return the files in the spool."""
    return list((folder / "spool").iterdir())


class TestSpool:
    async def test_keeps_what_was_written(self, spool: DiskSpool) -> None:
        """All chunks in their order, after `finish`, which may be called twice."""
        async with spool.open() as file:
            for chunk in (b"one", b"", b"two"):
                await file.write(chunk)
            await file.finish()
            assert await file.finish() == sha256(b"onetwo")
            assert file.on_disk().read_bytes() == b"onetwo"

    async def test_keeps_a_small_body_in_memory(self, spool: DiskSpool, tmp_path: Path) -> None:
        """It counts towards the limit; it is written to the disk when somebody needs it there."""
        async with spool.open() as file:
            await file.write(b"one")
            await file.finish()
            assert (file.content, file.readable_bytes, left(tmp_path)) == (b"one", 0, [])
            assert spool.free_bytes == 997
            assert file.on_disk().read_bytes() == b"one"
            assert (file.content, file.readable_bytes) == (file.on_disk(), 3)
            assert await file.finish() == sha256(b"one")
        assert (left(tmp_path), spool.free_bytes) == ([], 1000)

    @pytest.mark.parametrize("more", [0, 1])
    async def test_keeps_a_larger_body_on_disk(self, tmp_path: Path, more: int) -> None:
        """From the first byte on that is more than the limit."""
        spool = DiskSpool(tmp_path / "spool", max_bytes=1 << 20)
        content = b"x" * (SMALL_BODY_BYTES + more)
        async with spool.open() as file:
            await file.write(content)
            assert await file.finish() == sha256(content)
            assert file.content == (file.on_disk() if more else content)

    async def test_keeps_large_bodies(self, tmp_path: Path) -> None:
        """Bodies beyond the buffer are whole."""
        spool = DiskSpool(tmp_path / "spool", max_bytes=1 << 22)
        chunks = [bytes([n]) * 65536 for n in range(40)]
        async with spool.open() as file:
            for chunk in chunks:
                await file.write(chunk)
            assert await file.finish() == sha256(b"".join(chunks))
            assert file.on_disk().read_bytes() == b"".join(chunks)

    async def test_tells_what_can_be_read(self, tmp_path: Path) -> None:
        """While a body is received, its first bytes are readable; at the end all are."""
        spool = DiskSpool(tmp_path / "spool", max_bytes=1 << 23)
        chunks = [bytes([n]) * 65536 for n in range(80)]
        content = b"".join(chunks)
        seen = []
        async with spool.open() as file:
            for chunk in chunks:
                await file.write(chunk)
                seen.append(file.readable_bytes)
                assert file.on_disk().read_bytes()[: seen[-1]] == content[: seen[-1]]
            await file.finish()
            assert file.readable_bytes == len(content)
        assert seen[0] == 0 < seen[-1]

    async def test_keeps_many_small_chunks(self, tmp_path: Path) -> None:
        """A body of single bytes is complete, and hashed correctly."""
        spool = DiskSpool(tmp_path / "spool", max_bytes=1 << 22)
        content = bytes(n % 251 for n in range(3000))
        async with spool.open() as file:
            for byte in content:
                await file.write(bytes([byte]))
            assert await file.finish() == sha256(content)
            assert file.on_disk().read_bytes() == content

    async def test_leaves_nothing(self, spool: DiskSpool, tmp_path: Path) -> None:
        """The file is removed at the end, and after an error."""
        async with spool.open() as file:
            await file.write(b"x")
        with pytest.raises(RuntimeError):
            await write_and_die(spool)
        assert left(tmp_path) == []
        assert spool.free_bytes == 1000

    async def test_outlives_a_disk_that_does_not_remove(
        self, spool: DiskSpool, tmp_path: Path
    ) -> None:
        """The bytes are removed and no longer counted, and there is no error."""
        held = tmp_path / "held"
        async with spool.open() as file:
            await file.write(b"bytes")
            await file.finish()
            held.hardlink_to(file.on_disk())
            file.on_disk().unlink()
            file.on_disk().mkdir()  # what no unlink removes
        assert (held.read_bytes(), spool.free_bytes) == (b"", 1000)

    async def test_is_for_nobody_else(self, spool: DiskSpool) -> None:
        """Only our user can read the files."""
        async with spool.open() as file:
            assert file.on_disk().stat().st_mode & 0o077 == 0
            assert file.on_disk().parent.stat().st_mode & 0o077 == 0

    async def test_bounds_all_files_together(self, spool: DiskSpool) -> None:
        """The limit is for all open bodies; each end gives room."""
        async with spool.open() as first:
            await first.write(b"x" * 600)
            async with spool.open() as second:
                await second.write(b"x" * 300)
                with pytest.raises(SpoolFullError):
                    await second.write(b"x" * 101)
            async with spool.open() as third:
                await third.write(b"x" * 400)
                with pytest.raises(SpoolFullError):
                    await spool.open().__aenter__()
        assert spool.free_bytes == 1000

    async def test_says_that_the_disk_is_full(self, small_disk: Path) -> None:
        """A full device is a full spool, and nothing is left there."""
        spool = DiskSpool(small_disk / "spool", max_bytes=1 << 30)
        with pytest.raises(SpoolFullError):
            await fill(spool)
        assert left(small_disk) == []

    async def test_check_does_what_a_body_needs(self, spool: DiskSpool, tmp_path: Path) -> None:
        """An intact folder passes repeatedly, and nothing is left in it."""
        for _ in range(3):
            await spool.check()
        assert left(tmp_path) == []

    async def test_a_removed_folder_is_made_again(self, spool: DiskSpool, tmp_path: Path) -> None:
        """The next body and the check create it."""
        for heal in (spool.check, lambda: write_one(spool)):
            await spool.check()
            shutil.rmtree(tmp_path / "spool")
            await heal()
            assert (tmp_path / "spool").stat().st_mode & 0o077 == 0

    async def test_a_file_in_its_place_is_unavailable(
        self, spool: DiskSpool, tmp_path: Path
    ) -> None:
        """Bodies and the check report it; after the repair both work."""
        await spool.check()
        shutil.rmtree(tmp_path / "spool")
        (tmp_path / "spool").write_bytes(b"")
        for work in (spool.check, lambda: write_one(spool)):
            with pytest.raises(SpoolUnavailableError):
                await work()
        (tmp_path / "spool").unlink()
        await spool.check()
        await write_one(spool)

    async def test_a_disk_that_turns_read_only_is_unavailable(self, small_disk: Path) -> None:
        """Bodies and the check report it; when it is writable again, both work."""
        spool = DiskSpool(small_disk / "spool", max_bytes=1000)
        await spool.check()
        await remount(small_disk, "ro")
        for work in (spool.check, lambda: write_one(spool)):
            with pytest.raises(SpoolUnavailableError):
                await work()
        await remount(small_disk, "rw")
        await spool.check()
        await write_one(spool)

    async def test_check_tells_bodies_from_a_full_disk(self, small_disk: Path) -> None:
        """
        A disk that other programs filled fails the check.

        A disk that a body in progress has filled does not.
        """
        spool = DiskSpool(small_disk / "spool", max_bytes=1 << 30)
        await spool.check()
        (small_disk / "other").write_bytes(bytes(64 << 10))
        with pytest.raises(SpoolFullError):
            await spool.check()
        async with spool.open() as file:
            with pytest.raises(SpoolFullError):
                await fill_file(file)
            await spool.check()

    async def test_removes_what_the_dead_left(self, spool: DiskSpool, tmp_path: Path) -> None:
        """A body of a killed process is removed; a body of a living process is kept."""
        folder = tmp_path / "spool"
        folder.mkdir()
        (folder / "dead.body").write_bytes(b"x")
        (folder / "not ours").write_bytes(b"x")
        async with DiskSpool(folder, max_bytes=1000).open() as living:
            async with spool.open():
                assert not (folder / "dead.body").exists()
                assert living.on_disk().exists()
            assert (folder / "not ours").exists()

    async def test_is_begun_by_many_at_once(self, tmp_path: Path) -> None:
        """
        Two processes start at once, with many bodies each.

        None is taken for left over.
        """
        spools = [DiskSpool(tmp_path / "spool", max_bytes=1000) for _ in range(8)]

        async def keeps_its_body(spool: DiskSpool) -> bool:
            async with spool.open() as file:
                await file.write(b"x")
                await file.finish()
                return file.on_disk().exists()

        assert all(await asyncio.gather(*(keeps_its_body(spool) for spool in spools * 4)))

    async def test_frees_the_bodies_of_a_killed_process(
        self, spool: DiskSpool, tmp_path: Path
    ) -> None:
        """Killed in the middle of a body, a process leaves nothing for long."""
        died = await asyncio.to_thread(_die_in_a_body, tmp_path / "spool")
        assert died == -9
        assert len(left(tmp_path)) == 1
        async with spool.open():
            pass
        assert left(tmp_path) == []


async def write_and_die(spool: DiskSpool) -> None:
    """Fail in the middle of a body."""
    async with spool.open() as file:
        await file.write(b"x")
        raise RuntimeError


async def write_one(spool: DiskSpool) -> None:
    """Write one body to the disk."""
    async with spool.open() as file:
        await file.write(b"x")
        file.on_disk()


async def remount(folder: Path, mode: str) -> None:
    """Turn a file system read-only (`ro`) or back (`rw`)."""
    await asyncio.to_thread(
        subprocess.run, ["mount", "-o", f"remount,{mode}", str(folder)], check=True
    )


async def fill(spool: DiskSpool) -> None:
    """Write three megabytes."""
    async with spool.open() as file:
        await fill_file(file)


async def fill_file(file: DiskSpoolFile) -> None:
    """Write three megabytes."""
    for _ in range(10):
        await file.write(b"x" * 300_000)


async def test_what_a_dead_process_left_is_gone_before_a_body_comes(tmp_path: Path) -> None:
    """Even if the starting process gets no upload."""
    (left_over := tmp_path / "0123.body").write_bytes(b"records")
    await DiskSpool(tmp_path, max_bytes=10).prepare()
    assert not left_over.exists()
