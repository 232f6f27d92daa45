"""
API, relay and janitor as an installation runs them.

PostgreSQL, S3, RabbitMQ, Redis, secrets in files.
"""

import asyncio
import time
from pathlib import Path
from urllib.parse import urlsplit

import aio_pika
import httpx

from healthingest_contract import environment as env
from healthingest_contract.events import UploadStored
from healthingest_contract.topology import ALL_UPLOADS_BINDING, DEFAULT_EXCHANGE
from healthingest_service.erasure.keys import new_key_text
from healthingest_service.identity.access_tokens import new_key_pem
from support.samples import good_file
from support.servers.rabbitmq import RabbitMQServer
from support.servers.tls import Authority, postgres_tls_front, tls_front
from support.servers.versitygw import S3Server
from support.service_process import SECONDS, service
from support.trace_collector import trace_collector

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CLIENT_SPAN = "00f067aa0ba902b7"


async def _bound_queue(broker: RabbitMQServer) -> None:
    async with await aio_pika.connect(broker.amqp_url, timeout=SECONDS) as connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange(DEFAULT_EXCHANGE, "topic", durable=True)
        await (await channel.declare_queue("processing", durable=True)).bind(
            exchange, ALL_UPLOADS_BINDING
        )


async def _message(broker: RabbitMQServer) -> tuple[UploadStored, dict[str, str]]:
    async with await aio_pika.connect(broker.amqp_url, timeout=SECONDS) as connection:
        queue = await (await connection.channel()).get_queue("processing")
        async with queue.iterator(timeout=SECONDS) as messages:
            async for message in messages:
                await message.ack()
                headers = {name: str(value) for name, value in message.headers.items()}
                return UploadStored.from_bytes(message.body), headers
    raise AssertionError


async def _until_all_are_up(http: httpx.AsyncClient, url: str) -> None:
    """
    Wait until all dependencies are up.

    A cache that answers after more than a tenth of a second counts as down, so a busy machine is
    asked again.
    """
    wanted = {"broker", "cache", "database", "outbox", "schema", "spool", "store"}
    deadline = time.monotonic() + SECONDS
    while True:
        seen = (await http.get(url)).json()["dependencies"]
        if {name for name, one in seen.items() if one["up"]} == wanted:
            return
        assert time.monotonic() < deadline, seen
        await asyncio.sleep(0.1)  # the pause of a poll


def _installation(
    folder: Path, database: str, redis: str, broker: RabbitMQServer, store: S3Server
) -> tuple[dict[str, str], dict[str, str]]:
    secrets = {
        env.DATABASE_URL: database,
        env.STORE_ACCESS_KEY_ID: store.access_key_id,
        env.STORE_SECRET_ACCESS_KEY: store.secret_access_key,
        env.BROKER_URL: broker.amqp_url,
        env.CACHE_URL: redis,
        env.IDENTITY_SIGNING_KEYS: new_key_pem() + new_key_pem(),
        env.IDENTITY_ERASURE_KEY: new_key_text(),
    }
    for name, value in secrets.items():
        (folder / name).write_text(value, encoding="utf-8")
    host = httpx.URL(broker.amqp_url)
    config = {
        env.SECRETS_DIR: str(folder),
        env.STORE_ENDPOINT: store.endpoint,
        env.STORE_REGION: store.region,
        env.STORE_BUCKET: store.bucket,
        env.BROKER_ENDPOINT: f"{host.host}:{host.port or 5672}",
        "HEALTHINGEST_CACHE__TIMEOUT_SECONDS": "0.1",
    }
    return {name.removeprefix(env.PREFIX): value for name, value in config.items()}, secrets


async def test_an_upload_goes_the_whole_way(
    tmp_path: Path, postgres_url: str, redis_url: str, rabbitmq: RabbitMQServer, s3_server: S3Server
) -> None:
    """
    Answered with 201, and announced with the receipt's figures; all dependencies are up.

    The message passes on the client's trace. No log contains a secret.
    """
    folder = tmp_path / "secrets"
    folder.mkdir()
    settings, secrets = _installation(folder, postgres_url, redis_url, rabbitmq, s3_server)
    headers = await _goes_the_whole_way(tmp_path, settings, secrets, rabbitmq)
    assert headers["traceparent"] == f"00-{TRACE}-{CLIENT_SPAN}-00"


async def test_an_upload_is_one_trace_up_to_the_message(
    tmp_path: Path, postgres_url: str, redis_url: str, rabbitmq: RabbitMQServer, s3_server: S3Server
) -> None:
    """From the client's span over the API and the relay to the header of the message."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    settings, secrets = _installation(folder, postgres_url, redis_url, rabbitmq, s3_server)
    with trace_collector() as collector:
        settings["TRACING__ENDPOINT"] = collector.endpoint
        given = f"00-{TRACE}-{CLIENT_SPAN}-01"
        headers = await _goes_the_whole_way(tmp_path, settings, secrets, rabbitmq, given)
        spans = {span.name: span for span in collector.spans() if span.trace_id == TRACE}
    request, publish = spans["POST /v1/upload"], spans[f"publish {DEFAULT_EXCHANGE}"]
    assert (request.service, request.parent_id) == ("healthingest-api", CLIENT_SPAN)
    assert (publish.service, publish.parent_id) == ("healthingest-relay", request.span_id)
    assert headers["traceparent"] == f"00-{TRACE}-{publish.span_id}-01"


async def test_an_upload_goes_the_whole_way_through_tls(
    tmp_path: Path, postgres_url: str, redis_url: str, rabbitmq: RabbitMQServer, s3_server: S3Server
) -> None:
    """Every dependency has a certificate of a private authority; two require one of the client."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    settings, secrets = _installation(folder, postgres_url, redis_url, rabbitmq, s3_server)
    authority = Authority()
    issued = authority.issue()
    plain = issued.server_context(tmp_path)
    mutual = issued.server_context(tmp_path, clients=authority)
    client = authority.issue("service")
    async with (
        postgres_tls_front(urlsplit(postgres_url).port or 0, mutual) as database,
        tls_front(rabbitmq.amqp_port, mutual) as broker,
        tls_front(urlsplit(s3_server.endpoint).port or 0, plain) as store,
        tls_front(urlsplit(redis_url).port or 0, plain) as cache,
    ):
        for name, scheme, port in (
            (env.DATABASE_URL, "", database),
            (env.BROKER_URL, "amqps", broker),
            (env.CACHE_URL, "rediss", cache),
        ):
            moved = _moved(secrets[name], scheme, port)
            (folder / name).write_text(moved, encoding="utf-8")
        files = {"ca.crt": authority.bundle, "tls.crt": client.certificate, "tls.key": client.key}
        for name, text in files.items():
            (tmp_path / name).write_bytes(text)
        settings["STORE__ENDPOINT"] = f"https://127.0.0.1:{store}"
        for group in ("STORE", "BROKER", "DATABASE", "CACHE"):
            settings[f"{group}__CA_FILE"] = str(tmp_path / "ca.crt")
        for group in ("BROKER", "DATABASE"):
            settings[f"{group}__CLIENT_CERTIFICATE_FILE"] = str(tmp_path / "tls.crt")
            settings[f"{group}__CLIENT_KEY_FILE"] = str(tmp_path / "tls.key")
        await _goes_the_whole_way(tmp_path, settings, secrets, rabbitmq)


def _moved(url: str, scheme: str, port: int) -> str:
    """Return *url* at another port, with another scheme unless that is empty."""
    parts = urlsplit(url)
    login, at, _ = parts.netloc.rpartition("@")
    return parts._replace(
        scheme=scheme or parts.scheme, netloc=f"{login}{at}127.0.0.1:{port}"
    ).geturl()


async def _goes_the_whole_way(
    folder: Path,
    settings: dict[str, str],
    secrets: dict[str, str],
    rabbitmq: RabbitMQServer,
    traceparent: str = f"00-{TRACE}-{CLIENT_SPAN}-00",
) -> dict[str, str]:
    """
    Upload a file, and return the headers of its message.

    What blocks runs in a thread, because this loop may serve TLS.
    """
    await _bound_queue(rabbitmq)
    with service(folder / "migrate", "migrate", **settings) as migration:
        assert await asyncio.to_thread(migration.process.wait, SECONDS) == 0
    with (
        service(folder / "api", "api", **settings) as api,
        service(folder / "relay", "relay", **settings) as relay,
        service(folder / "janitor", "janitor", **settings) as janitor,
    ):
        await asyncio.to_thread(api.wait_until_ready)
        account = {"email": "ada@clinic.example", "password": "correct horse battery"}
        async with httpx.AsyncClient(base_url=api.address(), timeout=SECONDS) as http:
            assert (await http.post("/auth/register", json=account)).status_code == 201
            login = {"username": account["email"], "password": account["password"]}
            token = (await http.post("/auth/jwt/login", data=login)).json()["access_token"]
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/avro"}
            headers["traceparent"] = traceparent
            answer = await http.post("/v1/upload", content=good_file(5), headers=headers)
            await _until_all_are_up(http, f"{api.address('metrics')}/health/dependencies")
        assert answer.status_code == 201, answer.text
        event, sent_headers = await _message(rabbitmq)
        receipt = answer.json()
        bucket = settings["STORE__BUCKET"]
        assert (event.bucket, event.key) == (bucket, receipt["object_key"])
        assert (event.idempotency_key, event.record_count) == (receipt["upload_id"], 5)
        ended = [await asyncio.to_thread(one.end) for one in (api, relay, janitor)]
        assert ended == [0, 0, 0]
        logs = "".join(one.log.read_text(encoding="utf-8") for one in (api, relay, janitor))
    assert not [name for name, value in secrets.items() if value in logs]
    assert token not in logs
    return sent_headers
