"""
A simple service as a comparison.

It keeps the whole file in memory, reads it with fastavro in the handler, opens an S3 client for
each request, and publishes the message before the answer. It has no database, no accounts and no
limits. Usage: `… PORT`; other values come from the environment.
"""

import hashlib
import io
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import aio_pika
import fastavro
import uvicorn
from aiobotocore.session import get_session
from fastapi import FastAPI, Request, Response


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    connection = await aio_pika.connect_robust(os.environ["PLAIN_BROKER_URL"])
    channel = await connection.channel(publisher_confirms=True)
    app.state.exchange = await channel.get_exchange(os.environ["PLAIN_EXCHANGE"])
    app.state.session = get_session()
    yield
    await connection.close()


app = FastAPI(lifespan=_lifespan)


@app.post("/upload", status_code=201)
async def upload(request: Request) -> Response:
    """Take one file."""
    content = await request.body()
    reader = fastavro.reader(io.BytesIO(content))
    record_count = sum(1 for _ in reader)
    key = f"plain/{uuid4()}.avro"
    async with app.state.session.create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=os.environ["PLAIN_STORE_ENDPOINT"],
        aws_access_key_id=os.environ["PLAIN_STORE_KEY"],
        aws_secret_access_key=os.environ["PLAIN_STORE_SECRET"],
    ) as client:
        await client.put_object(Bucket=os.environ["PLAIN_STORE_BUCKET"], Key=key, Body=content)
    body = {"key": key, "records": record_count, "sha256": hashlib.sha256(content).hexdigest()}
    message = aio_pika.Message(
        json.dumps(body).encode(), delivery_mode=aio_pika.DeliveryMode.PERSISTENT
    )
    await app.state.exchange.publish(message, routing_key="health.processing.plain")
    return Response(json.dumps(body), 201, media_type="application/json")


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=False, log_level="warning")
