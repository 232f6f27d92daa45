"""
A hook for tusd that does what the plain service does, before tusd answers.

It computes the SHA-256 of the file, reads it with fastavro, puts it into S3 and publishes a
message. Other than the plain service it keeps its S3 client, reads in threads, and has a process
for each processor. Usage: `… PORT`; other values come from the environment, as for
`upload_plain.py`.

Source of the request: https://tus.github.io/tusd/advanced-topics/hooks/, `pre-finish`.
"""

import asyncio
import hashlib
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import aio_pika
import fastavro
import uvicorn
from aiobotocore.session import get_session
from fastapi import FastAPI


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    opening = get_session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=os.environ["PLAIN_STORE_ENDPOINT"],
        aws_access_key_id=os.environ["PLAIN_STORE_KEY"],
        aws_secret_access_key=os.environ["PLAIN_STORE_SECRET"],
    )
    connection = await aio_pika.connect_robust(os.environ["PLAIN_BROKER_URL"])
    channel = await connection.channel(publisher_confirms=True)
    app.state.exchange = await channel.get_exchange(os.environ["PLAIN_EXCHANGE"])
    async with opening as app.state.store, connection:
        yield


app = FastAPI(lifespan=_lifespan)


@app.post("/hook")
async def hook(event: dict[str, Any]) -> dict[str, Any]:
    """Take the file that tusd has stored; an error lets tusd answer with 500."""
    path = Path(event["Event"]["Upload"]["Storage"]["Path"])
    content, sha256, record_count = await asyncio.to_thread(_read, path)
    key = f"tusd/{uuid4()}.avro"
    bucket = os.environ["PLAIN_STORE_BUCKET"]
    await app.state.store.put_object(Bucket=bucket, Key=key, Body=content)
    body = {"key": key, "records": record_count, "sha256": sha256}
    message = aio_pika.Message(
        json.dumps(body).encode(), delivery_mode=aio_pika.DeliveryMode.PERSISTENT
    )
    await app.state.exchange.publish(message, routing_key="health.processing.plain")
    return {}


def _read(path: Path) -> tuple[bytes, str, int]:
    content = path.read_bytes()
    with path.open("rb") as file:
        record_count = sum(1 for _ in fastavro.reader(file))
    return content, hashlib.sha256(content).hexdigest(), record_count


if __name__ == "__main__":
    uvicorn.run(
        "tusd_hook:app",
        host="127.0.0.1",
        port=int(sys.argv[1]),
        workers=os.cpu_count(),
        access_log=False,
        log_level="warning",
    )
