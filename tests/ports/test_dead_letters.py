"""Dead letters on a real broker: seen without contents, published again, removed, never lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import quote

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel

from healthingest_contract.events import EVENT_TYPE
from healthingest_contract.topology import dead_letter_queue
from healthingest_operator.api.v1alpha1 import QueueSpec
from healthingest_operator.resources.topology import dead_queue_definition
from healthingest_service.adapters.rabbitmq_dead_letters import RabbitMQDeadLetters
from healthingest_service.uploads.dead_letters import (
    BrokerFailedError,
    DeadLetterSelection,
    NotPermittedError,
    QueueNotFoundError,
)
from support.announcements import AnnouncedQueue, stored
from support.deadlines import HANG_SECONDS
from support.servers.rabbitmq import RabbitMQServer

EXCHANGE: Final = "health_data_exchange"
QUEUE: Final = "processing"
KEY: Final = "health.processing.heartraterecord"
ALL: Final = DeadLetterSelection()


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[AbstractChannel]:
    """Open a channel."""
    async with await aio_pika.connect(url) as connection:
        yield await connection.channel()


@pytest.fixture(name="announced")
async def _announced(rabbitmq: RabbitMQServer) -> AnnouncedQueue:
    """A queue that is bound to the exchange, and its dead letters as the operator has them."""
    announced = AnnouncedQueue(rabbitmq, QUEUE)
    limit = dead_queue_definition(QueueSpec(name=QUEUE))["delivery-limit"]
    announced.declare({"x-delivery-limit": limit})
    async with opened(rabbitmq.amqp_url) as channel:
        exchange = await channel.declare_exchange(EXCHANGE, "topic", durable=True)
        await (await channel.get_queue(QUEUE)).bind(exchange, "health.processing.#")
    return announced


def letters(
    announced: AnnouncedQueue,
    *,
    queue: str = QUEUE,
    reader_url: str | None = None,
    publisher_url: str | None = None,
) -> RabbitMQDeadLetters:
    """Return the dead letters of the queue."""
    url = announced.server.amqp_url
    return RabbitMQDeadLetters(
        queue=queue,
        reader_url=reader_url or url,
        publisher_url=publisher_url or url,
        timeout_seconds=HANG_SECONDS,
    )


async def die(announced: AnnouncedQueue, *ids: str) -> None:
    """Publish messages with these ids, and reject them."""
    async with opened(announced.server.amqp_url) as channel:
        exchange = await channel.get_exchange(EXCHANGE)
        for message_id in ids:
            event = stored()
            message = aio_pika.Message(
                event.to_bytes(),
                message_id=message_id,
                headers={**event.cloud_event_headers(message_id), "x-foreign": "a value"},
                type=EVENT_TYPE,
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            )
            await exchange.publish(message, KEY)
        queue = await channel.get_queue(QUEUE)
        for _ in ids:
            await (await queue.get()).reject(requeue=False)
    await waits(announced, len(ids))


async def waits(
    announced: AnnouncedQueue, count: int, name: str = dead_letter_queue(QUEUE)
) -> None:
    """Wait until so many messages are in a queue; dead letters come a moment later."""

    async def found() -> int | None:
        queue = await channel.declare_queue(name, passive=True)
        return queue.declaration_result.message_count

    async with asyncio.timeout(HANG_SECONDS), opened(announced.server.amqp_url) as channel:
        while await found() != count:  # noqa: ASYNC110 - the broker tells nobody
            await asyncio.sleep(0.02)


async def test_letters_are_seen_as_often_as_one_likes(announced: AnnouncedQueue) -> None:
    """With reason and origin, without contents and foreign headers; each look leaves them."""
    await die(announced, "a", "b")
    for _ in range(25):  # more often than the default limit of RabbitMQ 4
        page = await letters(announced).peek(ALL, limit=100)
        await waits(announced, 2)
    assert (page.waiting, page.looked_at) == (2, 2)
    first, second = page.letters
    assert [first.id, second.id] == ["a", "b"]
    assert (first.exchange, first.routing_key, first.reason) == (EXCHANGE, KEY, "rejected")
    assert (first.type, first.deaths) == (EVENT_TYPE, 1)
    assert first.upload_id is not None
    assert first.died_at is not None
    assert {name.partition(":")[0] for name in first.headers} == {"cloudEvents"}
    page = await letters(announced).peek(DeadLetterSelection(frozenset("b")), limit=1)
    assert (page.waiting, page.looked_at, page.letters) == (2, 1, [])


async def test_a_redriven_letter_begins_anew(announced: AnnouncedQueue) -> None:
    """In the queue that it came from, with its properties; the others stay, also of equal ids."""
    await die(announced, "a", "b", "b", "c")
    chosen = DeadLetterSelection(frozenset({"a", "b"}), "rejected")
    done = await letters(announced).redrive(chosen, limit=100)
    assert (done.looked_at, done.settled, done.refused) == (4, 3, 0)
    await waits(announced, 1)
    async with opened(announced.server.amqp_url) as channel:
        queue = await channel.get_queue(QUEUE)
        again = [await queue.get(no_ack=True) for _ in range(3)]
        assert await queue.get(no_ack=True, fail=False) is None
    assert sorted(str(one.message_id) for one in again) == ["a", "b", "b"]
    assert {one.routing_key for one in again} == {KEY}
    assert {one.type for one in again} == {EVENT_TYPE}
    assert not [name for one in again for name in one.headers if name.startswith("x-death")]
    assert {one.headers["x-foreign"] for one in again} == {"a value"}
    left = await letters(announced).peek(ALL, limit=100)
    assert [one.id for one in left.letters] == ["c"]


async def test_what_no_queue_takes_stays(announced: AnnouncedQueue) -> None:
    """So does a message whose origin is not known."""
    await die(announced, "a", "b")
    await announced.announce(b"by hand", to=dead_letter_queue(QUEUE))
    async with opened(announced.server.amqp_url) as channel:
        exchange = await channel.get_exchange(EXCHANGE)
        await (await channel.get_queue(QUEUE)).unbind(exchange, "health.processing.#")
    await waits(announced, 3)
    done = await letters(announced).redrive(ALL, limit=100)
    assert (done.settled, done.refused) == (0, 3)
    await waits(announced, 3)
    gone = await letters(announced).drop(DeadLetterSelection(frozenset("b")), limit=100)
    assert (gone.looked_at, gone.settled) == (3, 1)
    await waits(announced, 2)
    left = await letters(announced).peek(ALL, limit=100)
    ids = [one.id for one in left.letters]
    assert ("a" in ids, "b" in ids, len(ids)) == (True, False, 2)


async def test_each_login_does_its_part(announced: AnnouncedQueue) -> None:
    """The user that reads need not publish, and the one that publishes need not read."""
    server = announced.server
    host = quote(server.virtual_host, safe="")
    urls = {}
    for user, write, read in (("reads", "^$", ".*"), ("writes", f"^{EXCHANGE}$", "^$")):
        name = f"{user}-{host}"
        server.call("PUT", f"/api/users/{name}", {"password": "word", "tags": ""})
        rights = {"configure": "^$", "write": write, "read": read}
        server.call("PUT", f"/api/permissions/{host}/{name}", rights)
        urls[user] = f"amqp://{name}:word@127.0.0.1:{server.amqp_port}/{host}"
    await die(announced, "a")
    for wrong in (
        {"reader_url": urls["writes"], "publisher_url": urls["writes"]},
        {"reader_url": urls["reads"], "publisher_url": urls["reads"]},
    ):
        with pytest.raises((NotPermittedError, BrokerFailedError)):
            await letters(announced, **wrong).redrive(ALL, limit=100)
        await waits(announced, 1)
    right = letters(announced, reader_url=urls["reads"], publisher_url=urls["writes"])
    assert (await right.redrive(ALL, limit=100)).settled == 1


async def test_a_missing_queue_says_so(announced: AnnouncedQueue) -> None:
    """As does a broker that is away."""
    with pytest.raises(QueueNotFoundError):
        await letters(announced, queue="other").peek(ALL, limit=1)
    with pytest.raises(BrokerFailedError):
        await letters(announced, reader_url="amqp://127.0.0.1:1/").peek(ALL, limit=1)
