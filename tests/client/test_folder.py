"""A folder is uploaded by a command that is killed, over connections that are cut."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from healthingest_client import AsyncClient, TokenFile
from support.cutting_proxy import cutting_proxy
from support.folder_command import DONE, FolderCommand, make_folder, wrong_uploads

MIB = 1024 * 1024


@pytest.mark.usefixtures("email")
async def test_a_killed_command_goes_on(server: str, tokens: TokenFile, tmp_path: Path) -> None:
    """Each file is uploaded once, and each byte is sent about once."""
    folder = tmp_path / "measurements"
    files = make_folder(folder, 30, max_bytes=MIB, seed=1)
    address = urlsplit(server)
    backend = (address.hostname or "", address.port or 0)
    async with cutting_proxy([backend], cut_bytes=MIB, bytes_per_second=8 * MIB) as proxy:
        tokens.put(proxy.url, tokens.get(server))
        command = FolderCommand(proxy.url, tmp_path / "config" / "tokens.json", folder)
        assert await command.run_killed([4, 7, 5]) == DONE
        ratio = proxy.sent_bytes / sum(files.values())
        assert proxy.cuts  # how many depends on when the command is killed
    async with AsyncClient(server, tokens) as client:
        uploads = [one async for one in client.uploads()]
    assert wrong_uploads(files, uploads) == []
    assert command.statuses.keys() == {"accepted", "uploaded-before"}
    assert ratio <= 1.05
