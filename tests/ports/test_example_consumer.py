"""The example of a consumer, as its own process beside a service and a broker."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import httpx

from support.announcements import AnnouncedQueue
from support.deadlines import HANG_SECONDS
from support.example_consumers import counted, eventually, example
from support.samples import good_file
from support.servers.rabbitmq import RabbitMQServer
from support.service_process import environment, service

ADMIN: Final = (sys.executable, "-m", "healthingest_service.main.admin_cli")
EXCHANGE: Final = "health_data_exchange"
PASSWORD: Final = "correct horse battery"
EMAIL: Final = "ada@clinic.example"
RECORDS: Final = 5


def declare(rabbitmq: RabbitMQServer) -> None:
    """Declare exchange, queues and bindings."""
    host = rabbitmq.virtual_host
    rabbitmq.call("PUT", f"/api/exchanges/{host}/{EXCHANGE}", {"type": "topic", "durable": True})
    for name, key in (
        ("processing", "health.processing.#"),
        ("faststream", "health.processing.#"),
        ("erasures", "health.erased.#"),
    ):
        AnnouncedQueue(rabbitmq, name).declare()
        place = f"/api/bindings/{host}/e/{EXCHANGE}/q/{name}"
        rabbitmq.call("POST", place, {"routing_key": key})


def test_they_count_report_and_forget(tmp_path: Path, rabbitmq: RabbitMQServer) -> None:
    """
    An upload is counted once by each, and shown as processed.

    After its erasure its row is gone from the one that hears of erasures.
    """
    declare(rabbitmq)
    folder = tmp_path / "service"
    settings = {
        "BROKER__URL": rabbitmq.amqp_url,
        "JANITOR__INTERVAL_SECONDS": "1",
        "LIMITS__REQUESTS": "100000/minute",
    }
    with service(folder, "serve", **settings) as running:
        running.wait_until_ready()
        server = running.address()
        with httpx.Client(base_url=server, timeout=HANG_SECONDS) as client:
            client.post("/auth/register", json={"email": EMAIL, "password": PASSWORD})
            form = {"username": EMAIL, "password": PASSWORD}
            token = client.post("/auth/jwt/login", data=form).json()["access_token"]
            client.headers["Authorization"] = f"Bearer {token}"
            roles = ("--email", EMAIL, "--roles", "uploader", "reader", "manager")
            for words in (
                ("study", "create", "--study", "sleep", "--name", "Sleep"),
                ("study", "member", "--study", "sleep", *roles),
            ):
                subprocess.run(
                    [*ADMIN, *words],
                    env=environment(folder, **settings),
                    check=True,
                    timeout=HANG_SECONDS,
                    stdout=subprocess.DEVNULL,
                )
            wish = {"name": "counts", "scopes": ["upload:read", "outcome:write"]}
            device = client.post("/v1/tokens", json=wish).json()["token"]
            about = {"Healthingest-Study": "sleep", "Healthingest-Subject": "P-1"}
            headers = {"Content-Type": "application/avro", **about}
            receipt = client.post("/v1/upload", content=good_file(RECORDS), headers=headers).json()
            upload = f"/v1/uploads/{receipt['upload_id']}"

            def outcomes() -> list[tuple[str, str]]:
                found = client.get(upload).json()["outcomes"]
                return [(one["consumer"], one["state"]) for one in found]

            access = {"server": server, "url": rabbitmq.amqp_url, "token": device}
            kit = example(tmp_path / "kit", "record_counts.py", **access)
            other = ("faststream_counts.py", "--queue", "faststream")
            with kit as database, example(tmp_path / "other", *other, **access) as another:
                names = ("faststream-counts", "record-counts")
                eventually(outcomes, [(name, "processed") for name in names])
                row = (receipt["upload_id"], "sleep", "P-1", receipt["record_type"], RECORDS)
                assert counted(database) == counted(another) == [row]
                client.delete(upload)
                eventually(lambda: counted(database), [])
