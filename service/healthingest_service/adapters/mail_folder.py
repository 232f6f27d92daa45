"""The port `MailSender` for development: a file for each mail."""

import asyncio
from pathlib import Path
from typing import Final
from uuid import uuid4

from typing_extensions import override

from healthingest_service.adapters.mail_message import message_of
from healthingest_service.identity.errors import MailFailure, MailUnavailableError
from healthingest_service.identity.mail import Mail
from healthingest_service.identity.mail_ports import MailSender

_SENDER: Final = "healthingest@localhost.localdomain"


class FolderMailSender(MailSender):
    """Writes each mail into a file `*.eml`, which a mail program can open."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @override
    async def send(self, mail: Mail) -> None:
        content = message_of(mail, sender=_SENDER).as_bytes()
        try:
            await asyncio.to_thread(self._write, content)
        except OSError:
            raise MailUnavailableError(MailFailure.FOLDER) from None

    def _write(self, content: bytes) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = uuid4()
        written = self._folder / f"{name}.part"
        written.write_bytes(content)
        written.rename(self._folder / f"{name}.eml")
