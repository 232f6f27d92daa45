"""A program that uses the spool and prints how each step ended; its disk is made to fail."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from healthingest_service.adapters.spool import DiskSpool
from healthingest_service.uploads.errors import SpoolFullError, SpoolUnavailableError

LARGE = 4 * 1024 * 1024
"""Bytes of a body that is written by `writev`, in threads."""


def _say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")


async def _outcome(step: Callable[[], Awaitable[object]]) -> str:
    try:
        await step()
    except (SpoolFullError, SpoolUnavailableError) as error:
        return type(error).__name__
    return "done"


async def _body(spool: DiskSpool) -> None:
    async with spool.open() as file:
        for _ in range(LARGE // 65536):
            await file.write(b"x" * 65536)
        await file.finish()


async def used(folder: Path) -> None:
    """Check the folder, write a body, and check again."""
    spool = DiskSpool(folder, max_bytes=1 << 30)
    outcomes = [await _outcome(step) for step in (spool.check, lambda: _body(spool), spool.check)]
    _say(*outcomes, spool.free_bytes == 1 << 30)


async def hanging(folder: Path) -> None:
    """Check twice while the first check waits for the disk, and again once it has ended."""
    spool = DiskSpool(folder, max_bytes=1 << 30)
    await spool.prepare()
    first = asyncio.create_task(_outcome(spool.check))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    beside = [await _outcome(spool.check), await _outcome(spool.check)]
    _say(*beside, first.done(), await first, await _outcome(spool.check))


async def forbidden(folder: Path) -> None:
    """Check and write a body where this user may not write, and again where it may."""
    spool = DiskSpool(folder, max_bytes=1 << 30)
    await spool.check()
    user = os.geteuid()
    await asyncio.to_thread(folder.chmod, 0o500)
    if user == 0:
        os.seteuid(65534)
    outcomes = [await _outcome(spool.check), await _outcome(lambda: _body(spool))]
    os.seteuid(user)
    await asyncio.to_thread(folder.chmod, 0o700)
    _say(*outcomes, await _outcome(spool.check), await _outcome(lambda: _body(spool)))


STEPS: Final = {"used": used, "hanging": hanging, "forbidden": forbidden}

if __name__ == "__main__":
    asyncio.run(STEPS[sys.argv[1]](Path(sys.argv[2])))
