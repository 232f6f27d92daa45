"""
Fakes of what lies outside, with faults on demand.

`tests/ports/` holds them to the same facts as the real ones.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from typing_extensions import override

from healthingest_service.identity.errors import MailError
from healthingest_service.identity.mail import Mail
from healthingest_service.identity.mail_ports import MailSender
from healthingest_service.uploads.errors import (
    ObjectLostError,
    PublishError,
    StoreRefusedError,
    StoreUnavailableError,
)
from healthingest_service.uploads.model import (
    NewObject,
    OutgoingMessage,
    Sha256,
    StoredObject,
    ValidationResult,
)
from healthingest_service.uploads.ports import (
    FileValidation,
    Gate,
    Heartbeat,
    ObjectStore,
    no_heartbeat,
)
from healthingest_service.uploads.relay_ports import EventPublisher

CHUNK_BYTES = 65536


@dataclass
class MemoryStore(ObjectStore):
    """
    An object store in memory.

    The next `put` meets the next of `faults`; each one takes all steps of `meanwhile`.
    """

    objects: dict[str, bytes] = field(default_factory=dict)
    metadata: dict[str, dict[str, str]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    meanwhile: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    is_down: bool = False
    refuses_removal: bool = False

    async def put(self, new: NewObject, *, heartbeat: Heartbeat = no_heartbeat) -> None:
        """
        See `ObjectStore.put`.

        Faults: `refused`, `lost` (unclear, and it did not arrive), `arrived` (unclear, and it did).
        """
        fault = self.faults.pop(0) if self.faults else "none"
        given = new.content
        content = given if isinstance(given, bytes) else await asyncio.to_thread(given.read_bytes)
        await heartbeat()
        for step in self.meanwhile:
            await step()
            await heartbeat()
        if fault == "refused" or (len(content), hashlib.sha256(content).hexdigest()) != (
            new.size_bytes,
            new.sha256,
        ):
            raise StoreRefusedError
        if fault != "lost":
            self.objects[new.key] = content
            self.metadata[new.key] = dict(new.metadata)
        await asyncio.sleep(0)
        if fault != "none":
            raise StoreUnavailableError

    @override
    async def head(self, key: str) -> StoredObject | None:
        await self.check()
        if key not in self.objects:
            return None
        content = self.objects[key]
        sha256 = Sha256(hashlib.sha256(content).hexdigest())
        return StoredObject(len(content), sha256, self.metadata.get(key, {}))

    @override
    async def read(self, key: str) -> AsyncIterator[bytes]:
        await self.check()
        if key not in self.objects:
            raise StoreRefusedError
        content = self.objects[key]
        for start in range(0, len(content), CHUNK_BYTES):
            yield content[start : start + CHUNK_BYTES]

    @override
    async def remove(self, key: str) -> None:
        await self.check()
        if self.refuses_removal:
            raise StoreRefusedError
        self.objects.pop(key, None)
        self.metadata.pop(key, None)

    @override
    async def erase(self, key: str) -> int:
        found = await self.remains(key)
        await self.remove(key)
        return found

    @override
    async def remains(self, key: str) -> int:
        await self.check()
        return int(key in self.objects)

    @override
    async def read_range(
        self, key: str, *, offset: int, size_bytes: int
    ) -> AsyncGenerator[bytes, None]:
        await self.check()
        content = self.objects.get(key, b"")
        if len(content) < offset + size_bytes:
            raise ObjectLostError
        end = offset + size_bytes
        for start in range(offset, end, CHUNK_BYTES):
            await self.check()
            yield content[start : min(start + CHUNK_BYTES, end)]

    @override
    async def check(self) -> None:
        await asyncio.sleep(0)
        if self.is_down:
            raise StoreUnavailableError


@dataclass
class ReadyResult(FileValidation, Gate):
    """A gate that returns *result*, or raises *error*, for every file."""

    result: ValidationResult = field(
        default_factory=lambda: ValidationResult(
            "HeartRateRecord", "test.records.HeartRateRecord", "0" * 64, "null", 1, 3
        )
    )
    error: Exception | None = None

    @override
    @asynccontextmanager
    async def open(self) -> AsyncIterator["ReadyResult"]:
        yield self

    @override
    async def feed(self, _chunk: bytes) -> None:
        await asyncio.sleep(0)

    @override
    async def feed_file(self, path: Path, *, offset: int, size_bytes: int) -> None:
        del path, offset, size_bytes
        await asyncio.sleep(0)

    @override
    async def finish(self) -> ValidationResult:
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return self.result


@dataclass
class Ear(EventPublisher):
    """A publisher that keeps what it hears; `errors` by routing key."""

    heard: list[OutgoingMessage] = field(default_factory=list)
    errors: dict[str, type[PublishError]] = field(default_factory=dict)
    heard_something: asyncio.Event = field(default_factory=asyncio.Event)

    @override
    async def publish(self, message: OutgoingMessage) -> None:
        await asyncio.sleep(0)
        if message.routing_key in self.errors:
            raise self.errors[message.routing_key]
        self.heard.append(message)
        self.heard_something.set()

    async def hears(self, count: int) -> None:
        """Wait until *count* messages came."""
        while len(self.heard) < count:
            self.heard_something.clear()
            await self.heard_something.wait()


@dataclass
class MemoryMailSender(MailSender):
    """A sender that keeps the mails; the next `send` meets the next of `errors`."""

    sent: list[Mail] = field(default_factory=list)
    errors: list[MailError] = field(default_factory=list)
    has_sent: asyncio.Event = field(default_factory=asyncio.Event)

    @override
    async def send(self, mail: Mail) -> None:
        await asyncio.sleep(0)
        if self.errors:
            raise self.errors.pop(0)
        self.sent.append(mail)
        self.has_sent.set()
