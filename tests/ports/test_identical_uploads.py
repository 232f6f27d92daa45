"""A thousand clients send one file of one account at once, over three API processes."""

import asyncio
import json
import ssl
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import httpx

from healthingest_service.adapters.s3.inventory import open_s3_inventory
from healthingest_service.identity.access_tokens import new_key_pem
from support.faults.consumer import Consumer
from support.s3 import access_to
from support.samples import good_file
from support.servers.rabbitmq import RabbitMQServer
from support.servers.versitygw import S3Server
from support.service_process import COMMAND, SECONDS, ServiceProcess, environment, service

CLIENTS = 1000
PROCESSES = 3
CONNECTIONS = 20
"""The limit of one object of httpx, which searches all its connections for each request."""


@dataclass
class Answers:
    """The answers to the clients: the last one of each, and all before."""

    last: list[httpx.Response] = field(default_factory=list)
    earlier: Counter[int] = field(default_factory=Counter)
    """
    Answers by status.

    0 for none: the connection was closed before the client could send.
    """


@contextmanager
def installation(folder: Path, settings: dict[str, str]) -> Iterator[list[ServiceProcess]]:
    """Three API processes and a relay."""
    subprocess.run(
        [*COMMAND, "migrate"], env=environment(folder, **settings), check=True, timeout=SECONDS
    )
    with ExitStack() as stack:
        stack.enter_context(service(folder / "relay", "relay", **settings))
        apis = [
            stack.enter_context(service(folder / f"api{n}", "api", **settings))
            for n in range(PROCESSES)
        ]
        for api in apis:
            api.wait_until_ready()
        yield apis


async def signed_in(server: str) -> str:
    """Return the token of a new account."""
    account = {"email": "ada@clinic.example", "password": "correct horse battery"}
    async with httpx.AsyncClient(base_url=server, timeout=SECONDS) as client:
        await client.post("/auth/register", json=account)
        form = {"username": account["email"], "password": account["password"]}
        token: str = (await client.post("/auth/jwt/login", data=form)).json()["access_token"]
        return token


async def send_all(servers: list[str], token: str, content: bytes) -> Answers:
    """
    Send all at once.

    A client repeats after the time of the answer, or when there was no answer.
    """
    answers = Answers()
    start = asyncio.Event()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/avro"}

    async def one(client: httpx.AsyncClient, server: str) -> None:
        await start.wait()
        while True:
            try:
                answer = await client.post(f"{server}/v1/upload", content=content)
            except httpx.TransportError:
                answers.earlier[0] += 1
                continue
            if "Retry-After" not in answer.headers:
                answers.last.append(answer)
                return
            answers.earlier[answer.status_code] += 1
            await asyncio.sleep(int(answer.headers["Retry-After"]))

    tls = ssl.create_default_context()
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                httpx.AsyncClient(headers=headers, timeout=SECONDS, verify=tls)
            )
            for _ in range(CLIENTS // CONNECTIONS)
        ]
        async with asyncio.TaskGroup() as tasks:
            for number in range(CLIENTS):
                tasks.create_task(
                    one(clients[number % len(clients)], servers[number % len(servers)])
                )
            start.set()
    return answers


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of our own to the database."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def heard(consumer: Consumer, database: asyncpg.Connection) -> int:
    """Return the number of messages, after the outbox and the queue are empty."""
    hearing = asyncio.create_task(consumer.run())
    try:
        async with asyncio.timeout(SECONDS):
            # ASYNC110: a table tells nobody
            while not consumer.heard or await database.fetchval("SELECT count(*) FROM outbox"):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    finally:
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)
    return len(consumer.heard)


async def test_are_one_upload(
    postgres_url: str, rabbitmq: RabbitMQServer, s3_server: S3Server, tmp_path: Path
) -> None:
    """
    One is answered with 201, and 999 with 200 and the same receipt.

    There is one object, one row and one message. On a slow machine the first answer may be unclear
    or missing; then its repeat gets 200, too.
    """
    settings = {
        "DATABASE__URL": postgres_url,
        "STORE__ENDPOINT": s3_server.endpoint,
        "STORE__BUCKET": s3_server.bucket,
        "STORE__ACCESS_KEY_ID": s3_server.access_key_id,
        "STORE__SECRET_ACCESS_KEY": s3_server.secret_access_key,
        "BROKER__URL": rabbitmq.amqp_url,
        "IDENTITY__SIGNING_KEYS": new_key_pem(),
        "LIMITS__UPLOADS": "1000000/minute",
        "LIMITS__UPLOADS_AT_ONCE_PER_ACCOUNT": "10000",
        "LIMITS__UPLOADS_AT_ONCE_PER_ADDRESS": "10000",
        "HTTP__MAX_CONNECTIONS": "10000",
        "HTTP__MAX_CONNECTIONS_PER_ADDRESS": "10000",
    }
    consumer = Consumer(rabbitmq)
    await asyncio.to_thread(consumer.declare)
    async with connected(postgres_url) as database:
        with installation(tmp_path, settings) as apis:
            servers = [api.address() for api in apis]
            answers = await send_all(servers, await signed_in(servers[0]), good_file(50))
            said = Counter(
                (answer.status_code, answer.json().get("type", "")) for answer in answers.last
            )
            assert said in ({(201, ""): 1, (200, ""): CLIENTS - 1}, {(200, ""): CLIENTS}), (
                answers.earlier
            )
            assert said[201, ""] or answers.earlier[503] or answers.earlier[0], (
                "nobody stored it, nor was it unclear"
            )
            assert len({json.dumps(answer.json(), sort_keys=True) for answer in answers.last}) == 1
            assert await heard(consumer, database) == 1
        assert [
            tuple(row)
            for row in await database.fetch("SELECT state, count(*) FROM upload GROUP BY 1")
        ] == [("announced", 1)]
    async with open_s3_inventory(access_to(s3_server, timeout_seconds=SECONDS)) as inventory:
        objects = (await inventory.page(after="", limit=10)).objects
        assert [one.key for one in objects] == [answers.last[0].json()["object_key"]]
        assert [put async for put in inventory.unfinished()] == []
