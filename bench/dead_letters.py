"""
Measures how long dead letters take: shown, published again, and settled by a consumer.

A private RabbitMQ has queues as the operator declares them. A consumer rejects all messages; then
the commands of `healthingest-admin dead` run as processes, and another consumer acknowledges.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from healthingest_contract.events import EVENT_TYPE
from healthingest_contract.topology import dead_letter_queue
from healthingest_operator.api.v1alpha1 import QueueSpec
from healthingest_operator.resources.topology import dead_queue_definition
from support.announcements import AnnouncedQueue, stored
from support.results import add_json_option, write_figures
from support.servers.process import work_folder
from support.servers.rabbitmq import RabbitMQServer, rabbitmq_server
from support.service_process import COMMAND, environment

QUEUE: Final = "processing"
EXCHANGE: Final = "health_data_exchange"
ADMIN: Final = (sys.executable, "-m", "healthingest_service.main.admin_cli", "dead")
AIM_SECONDS: Final = 60.0
_LIMIT_SECONDS: Final = 600.0
_AT_ONCE: Final = 200


async def put(server: RabbitMQServer, count: int) -> None:
    """Publish the messages."""
    async with await aio_pika.connect(server.amqp_url) as connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange(EXCHANGE, "topic", durable=True)
        await (await channel.get_queue(QUEUE)).bind(exchange, "#")
        for start in range(0, count, _AT_ONCE):
            some = [stored() for _ in range(min(_AT_ONCE, count - start))]
            await asyncio.gather(
                *(
                    exchange.publish(
                        aio_pika.Message(
                            one.to_bytes(),
                            message_id=one.idempotency_key,
                            headers=one.cloud_event_headers(one.idempotency_key),
                            type=EVENT_TYPE,
                            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                        ),
                        "health.processing.heartraterecord",
                    )
                    for one in some
                )
            )


async def settle(server: RabbitMQServer, count: int, *, reject: bool) -> None:
    """Acknowledge or reject so many messages of the queue."""
    done = asyncio.Event()
    settled = 0

    async def take(message: AbstractIncomingMessage) -> None:
        nonlocal settled
        await (message.reject(requeue=False) if reject else message.ack())
        settled += 1
        if settled == count:
            done.set()

    async with asyncio.timeout(_LIMIT_SECONDS), await aio_pika.connect(server.amqp_url) as link:
        channel = await link.channel()
        await channel.set_qos(prefetch_count=_AT_ONCE)
        await (await channel.get_queue(QUEUE)).consume(take)
        await done.wait()


async def arrive(server: RabbitMQServer, count: int) -> None:
    """Wait until the queue of dead letters has them all."""
    async with asyncio.timeout(_LIMIT_SECONDS), await aio_pika.connect(server.amqp_url) as link:
        channel = await link.channel()
        while True:
            queue = await channel.declare_queue(dead_letter_queue(QUEUE), passive=True)
            if queue.declaration_result.message_count == count:
                return
            await asyncio.sleep(0.1)


def command(variables: dict[str, str], *words: str) -> dict[str, object]:
    """Run a command to its end, and return what it printed."""
    ran = subprocess.run(
        [*ADMIN, *words],
        env=variables,
        capture_output=True,
        text=True,
        check=True,
        timeout=_LIMIT_SECONDS,
    )
    answer: dict[str, object] = json.loads(ran.stdout)
    return answer


def measure(server: RabbitMQServer, folder: Path, count: int) -> dict[str, float]:
    """Return the seconds of each step."""
    limit = dead_queue_definition(QueueSpec(name=QUEUE))["delivery-limit"]
    AnnouncedQueue(server, QUEUE).declare({"x-delivery-limit": limit})
    asyncio.run(put(server, count))
    asyncio.run(settle(server, count, reject=True))
    asyncio.run(arrive(server, count))
    variables = environment(folder, BROKER__URL=server.amqp_url)
    subprocess.run([*COMMAND, "migrate"], env=variables, check=True, timeout=_LIMIT_SECONDS)
    began = time.monotonic()
    listed = command(variables, "list", "--queue", QUEUE, "--limit", str(count))
    shown = time.monotonic()
    redriven = command(variables, "redrive", "--queue", QUEUE, "--all", "--limit", str(count))
    again = time.monotonic()
    asyncio.run(settle(server, count, reject=False))
    ended = time.monotonic()
    found = listed["dead_letters"]
    if not isinstance(found, list) or (len(found), redriven["redriven"]) != (count, count):
        sys.exit("not all dead letters were shown and published again")
    return {
        "shown_seconds": shown - began,
        "redriven_seconds": again - shown,
        "settled_seconds": ended - again,
        "total_seconds": ended - began,
    }


def main() -> int:
    """Run it, and print the figures as JSON; 1 if the aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--letters", type=int, default=10_000)
    add_json_option(parser)
    options = parser.parse_args()
    count = options.letters
    with (
        rabbitmq_server() as started,
        started.new_virtual_host() as server,
        work_folder(None) as folder,
    ):
        found = measure(server, folder, count)
    write_figures(options.json, found | {"per_second": count / found["total_seconds"]})
    figures = {name: round(value, 1) for name, value in found.items()}
    sys.stdout.write(json.dumps({"letters": count, **figures, "cpus": os.cpu_count()}) + "\n")
    return 0 if found["total_seconds"] <= AIM_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
