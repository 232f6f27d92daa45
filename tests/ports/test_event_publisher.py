"""The port `EventPublisher`, on a queue file and on RabbitMQ."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import aio_pika
import pytest
from aiormq.exceptions import ChannelInvalidStateError
from pamqp.commands import Basic

from healthingest_service.adapters.queue_file import QueueFile, follow
from healthingest_service.adapters.rabbitmq import RabbitMQPublisher, open_publisher
from healthingest_service.adapters.rabbitmq_channel import PublisherChannel
from healthingest_service.uploads.errors import (
    BrokerUnreachableError,
    MessageRefusedError,
    MessageUnroutableError,
)
from healthingest_service.uploads.model import OutgoingMessage
from healthingest_service.uploads.relay_ports import EventPublisher
from support.cancelling import is_cancelled_at
from support.deadlines import HANG_SECONDS
from support.servers.rabbitmq import RabbitMQServer
from support.servers.silent import silent_server
from support.uploads import message, upload

EXCHANGE = "health_data_exchange"
QUEUE = "processing"


class Ears(Protocol):
    """What a consumer hears."""

    async def hear(self, count: int) -> list[dict[str, Any]]:
        """The first *count* messages: id, routing key, headers, body."""
        ...


class FileEars:
    """At the queue file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def hear(self, count: int) -> list[dict[str, Any]]:
        """See `Ears`."""
        heard: list[dict[str, Any]] = []
        async with asyncio.timeout(HANG_SECONDS):
            async for line in follow(self._path, from_start=True):
                heard.append(line)
                if len(heard) == count:
                    break
        return heard


class RabbitEars:
    """At the queue."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def hear(self, count: int) -> list[dict[str, Any]]:
        """See `Ears`."""
        heard: list[dict[str, Any]] = []
        async with asyncio.timeout(HANG_SECONDS), await aio_pika.connect(self._url) as connection:
            queue = await (await connection.channel()).get_queue(QUEUE)
            async with queue.iterator() as messages:
                async for found in messages:
                    assert found.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
                    assert found.content_type == "application/json"
                    heard.append(
                        {
                            "id": found.message_id,
                            "routing_key": found.routing_key,
                            "headers": dict(found.headers),
                            "body": json.loads(found.body),
                        }
                    )
                    await found.ack()
                    if len(heard) == count:
                        break
        return heard


def declare(server: RabbitMQServer, **arguments: object) -> None:
    """Exchange, queue and binding, as the operator makes them."""
    vhost = server.virtual_host
    server.call("PUT", f"/api/exchanges/{vhost}/{EXCHANGE}", {"type": "topic", "durable": True})
    server.call("PUT", f"/api/queues/{vhost}/{QUEUE}", {"durable": True, "arguments": arguments})
    server.call(
        "POST",
        f"/api/bindings/{vhost}/e/{EXCHANGE}/q/{QUEUE}",
        {"routing_key": "health.processing.#"},
    )


@asynccontextmanager
async def rabbit(
    server: RabbitMQServer, *, timeout_seconds: float = 5.0
) -> AsyncIterator[RabbitMQPublisher]:
    """A publisher to that server."""
    async with open_publisher(
        url=server.amqp_url, exchange=EXCHANGE, timeout_seconds=timeout_seconds
    ) as publisher:
        yield publisher


@pytest.fixture(params=["queue file", "rabbitmq"])
async def way(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[tuple[EventPublisher, Ears]]:
    """A publisher of each kind, and somebody who listens."""
    if request.param == "queue file":
        yield (
            QueueFile(tmp_path / "events" / "queue.jsonl"),
            FileEars(tmp_path / "events" / "queue.jsonl"),
        )
        return
    server: RabbitMQServer = request.getfixturevalue("rabbitmq")
    declare(server)
    async with rabbit(server) as publisher:
        yield publisher, RabbitEars(server.amqp_url)


class TestEventPublisher:
    async def test_delivers_what_was_published(self, way: tuple[EventPublisher, Ears]) -> None:
        """Id, routing key, headers and body arrive as they were, in their order."""
        publisher, ears = way
        messages = [message(upload(bytes([n]))) for n in range(5)]
        for sent in messages:
            await publisher.publish(sent)
        assert await ears.hear(5) == [
            {
                "id": str(sent.id),
                "routing_key": sent.routing_key,
                "headers": dict(sent.headers),
                "body": json.loads(sent.body),
            }
            for sent in messages
        ]

    async def test_delivers_from_many_tasks(self, way: tuple[EventPublisher, Ears]) -> None:
        """Published at once, all arrive, each whole."""
        publisher, ears = way
        messages = [message(upload(bytes([n]))) for n in range(20)]
        await asyncio.gather(*(publisher.publish(sent) for sent in messages))
        assert {heard["id"] for heard in await ears.hear(20)} == {str(sent.id) for sent in messages}

    async def test_delivers_twice_when_told_twice(self, way: tuple[EventPublisher, Ears]) -> None:
        """A repeat carries the same id and the same idempotency key: consumers can drop it."""
        publisher, ears = way
        sent = message(upload())
        await publisher.publish(sent)
        await publisher.publish(sent)
        first, second = await ears.hear(2)
        assert first == second


def anything() -> OutgoingMessage:
    """A message."""
    return message(upload())


class TestQueueFile:
    async def test_cuts_off_what_a_dying_process_left(self, tmp_path: Path) -> None:
        """
        A line without an end was confirmed to nobody.

        It is not read, and the next message is whole.
        """
        path = tmp_path / "queue.jsonl"
        await QueueFile(path).publish(first := anything())
        with path.open("ab") as torn:
            torn.write(b'{"id": "torn' + b"x" * 9000)
        await QueueFile(path).publish(second := anything())
        assert [heard["id"] for heard in await FileEars(path).hear(2)] == [
            str(first.id),
            str(second.id),
        ]

    async def test_follows_from_now_on(self, tmp_path: Path) -> None:
        """A late follower gets later messages only, also when it began before the file existed."""
        path = tmp_path / "queue.jsonl"
        await QueueFile(path).publish(anything())
        late = follow(path, from_start=False)
        heard = asyncio.ensure_future(anext(late))
        position = path.stat().st_size
        while not heard.done():
            await QueueFile(path).publish(anything())
            await asyncio.wait([heard], timeout=0.05)
        assert path.stat().st_size > position
        assert (await heard)["routing_key"] == "health.processing.heartraterecord"
        await late.aclose()  # type: ignore[attr-defined]

    async def test_says_when_it_cannot_be_written(self, tmp_path: Path) -> None:
        """A folder in the file's place is a broker that cannot be reached."""
        with pytest.raises(BrokerUnreachableError):
            await QueueFile(tmp_path).publish(anything())
        with pytest.raises(BrokerUnreachableError):
            await QueueFile(tmp_path).check()


class TestRabbitMQ:
    async def test_says_that_nothing_is_bound(self, rabbitmq: RabbitMQServer) -> None:
        """An unroutable message is not delivered; after a binding, the next one goes through."""
        vhost = rabbitmq.virtual_host
        rabbitmq.call(
            "PUT", f"/api/exchanges/{vhost}/{EXCHANGE}", {"type": "topic", "durable": True}
        )
        async with rabbit(rabbitmq) as publisher:
            with pytest.raises(MessageUnroutableError):
                await publisher.publish(anything())
            declare(rabbitmq)
            await publisher.publish(anything())

    async def test_each_of_many_messages_gets_its_own_answer(
        self, rabbitmq: RabbitMQServer
    ) -> None:
        """Every third is returned, and the others are delivered in their order."""
        declare(rabbitmq)
        messages = [message(upload(bytes([n]))) for n in range(150)]
        astray = {sent.id for sent in messages[::3]}
        messages = [
            replace(sent, routing_key="nobody.listens") if sent.id in astray else sent
            for sent in messages
        ]
        async with rabbit(rabbitmq) as publisher:
            for _ in range(2):
                answers = await asyncio.gather(
                    *(publisher.publish(sent) for sent in messages), return_exceptions=True
                )
                refused = {
                    sent.id
                    for sent, answer in zip(messages, answers, strict=True)
                    if isinstance(answer, MessageUnroutableError)
                }
                assert refused == astray
                assert [answer for answer in answers if answer is None] == [None] * 100
        heard = await RabbitEars(rabbitmq.amqp_url).hear(200)
        expected = [str(sent.id) for sent in messages if sent.id not in astray]
        assert [one["id"] for one in heard] == expected * 2

    async def test_a_body_of_several_frames_arrives_whole(self, rabbitmq: RabbitMQServer) -> None:
        """A frame has at most 128 KiB (RabbitMQ's default)."""
        declare(rabbitmq)
        sent = replace(anything(), body=json.dumps("x" * 400_000).encode())
        async with rabbit(rabbitmq) as publisher:
            await publisher.publish(sent)
        (heard,) = await RabbitEars(rabbitmq.amqp_url).hear(1)
        assert heard["body"] == json.loads(sent.body)

    async def test_says_that_the_exchange_is_missing(self, rabbitmq: RabbitMQServer) -> None:
        """
        A missing exchange is broken topology.

        Nothing is declared by us, and it heals when the operator heals it.
        """
        async with rabbit(rabbitmq) as publisher:
            with pytest.raises(MessageUnroutableError):
                await publisher.publish(anything())
            declare(rabbitmq)
            await publisher.publish(anything())

    async def test_says_that_a_queue_is_full(self, rabbitmq: RabbitMQServer) -> None:
        """A queue that refuses is a refusal, not a success."""
        declare(rabbitmq, **{"x-max-length": 1, "x-overflow": "reject-publish"})
        async with rabbit(rabbitmq) as publisher:
            with pytest.raises(MessageRefusedError):
                await publish_many(publisher)

    async def test_says_that_nobody_answers(self) -> None:
        """Nobody listens there."""
        async with open_publisher(
            url="amqp://127.0.0.1:9/", exchange=EXCHANGE, timeout_seconds=2
        ) as publisher:
            with pytest.raises(BrokerUnreachableError):
                await publisher.publish(anything())
            with pytest.raises(BrokerUnreachableError):
                await publisher.check()

    async def test_says_that_the_password_is_wrong(self, rabbitmq: RabbitMQServer) -> None:
        """Refused at the door; the password stands in no text of the error."""
        wrong = replace(rabbitmq, password="not-this-secret")
        async with rabbit(wrong) as publisher:
            with pytest.raises(BrokerUnreachableError) as failed:
                await publisher.publish(anything())
        assert "not-this-secret" not in repr(failed.value.__cause__)

    async def test_comes_back_after_a_lost_connection(self, rabbitmq: RabbitMQServer) -> None:
        """A connection closed by the broker costs at most one failed message."""
        declare(rabbitmq)
        async with rabbit(rabbitmq) as publisher:
            await publisher.publish(anything())
            await close_connections(rabbitmq)
            try:
                await publisher.publish(anything())
            except BrokerUnreachableError:
                await publisher.publish(anything())

    async def test_keeps_its_deadline(self) -> None:
        """A server that takes the connection and says nothing ends the wait."""
        async with (
            silent_server() as port,
            open_publisher(
                url=f"amqp://127.0.0.1:{port}/", exchange=EXCHANGE, timeout_seconds=0.5
            ) as publisher,
        ):
            async with asyncio.timeout(HANG_SECONDS):
                with pytest.raises(BrokerUnreachableError):
                    await publisher.publish(anything())

    async def test_survives_cancellation(self, rabbitmq: RabbitMQServer) -> None:
        """Cancelled at whatever moment, the publisher works on."""
        declare(rabbitmq)
        async with rabbit(rabbitmq) as publisher:
            for wait in count():
                cancelled = await is_cancelled_at(wait, publisher.publish(anything()))
                await publisher.disconnect()  # each try connects anew: those waits count too
                if not cancelled:
                    break
            assert wait > 4
            await publisher.publish(anything())
            await publisher.check()

    async def test_a_cancelled_message_gives_no_confirm_to_another(
        self, rabbitmq: RabbitMQServer
    ) -> None:
        """Wherever it is cancelled, what is confirmed of another task is in the queue."""
        declare(rabbitmq)
        confirmed = set[str]()

        async def publish_after_it(sent: OutgoingMessage) -> None:
            await asyncio.sleep(0)
            await publisher.publish(sent)

        async with rabbit(rabbitmq) as publisher:
            for wait in count():
                await publisher.check()  # connects again after an error
                other = anything()
                cancelled, answer = await asyncio.gather(
                    is_cancelled_at(wait, publisher.publish(anything())),
                    publish_after_it(other),
                    return_exceptions=True,
                )
                assert answer is None or isinstance(answer, BrokerUnreachableError)
                if answer is None:
                    confirmed.add(str(other.id))
                if not cancelled:
                    break
            assert wait > 1
        assert confirmed
        assert confirmed <= await everything_in_the_queue(rabbitmq)

    async def test_a_channel_whose_write_was_cut_off_is_not_used_again(
        self, rabbitmq: RabbitMQServer
    ) -> None:
        """The number of a message that was not written must not become that of another."""
        declare(rabbitmq)
        async with await aio_pika.connect(rabbitmq.amqp_url) as connection:
            channel = await connection.channel()
            publisher = PublisherChannel(await channel.get_underlay_channel(), EXCHANGE)
            sent = anything()
            properties = Basic.Properties(message_id=str(sent.id))
            cut_off = is_cancelled_at(0, publisher.publish(sent.body, sent.routing_key, properties))
            assert await cut_off
            with pytest.raises(ChannelInvalidStateError):
                await publisher.publish(sent.body, sent.routing_key, properties)


async def everything_in_the_queue(server: RabbitMQServer) -> set[str | None]:
    """Return the ids of all messages, which are removed."""
    found = set[str | None]()
    async with await aio_pika.connect(server.amqp_url) as connection:
        queue = await (await connection.channel()).get_queue(QUEUE)
        while (one := await queue.get(no_ack=True, fail=False)) is not None:
            found.add(one.message_id)
    return found


async def publish_many(publisher: RabbitMQPublisher) -> None:
    """More than a queue of length one takes; a classic one may take a few more than that."""
    for _ in range(20):
        await publisher.publish(anything())


async def close_connections(server: RabbitMQServer) -> None:
    """
    Have the broker close every connection of this virtual host.

    They show in its list with a delay.
    """
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            found = await asyncio.to_thread(server.call, "GET", "/api/connections")
            ours = [entry["name"] for entry in found if entry.get("vhost") == server.virtual_host]
            for name in ours:
                await asyncio.to_thread(
                    server.call,
                    "DELETE",
                    f"/api/connections/{name.replace(' ', '%20').replace('>', '%3E')}",
                )
            if ours:
                return
            await asyncio.sleep(0.2)
