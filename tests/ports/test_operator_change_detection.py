"""
The operator's external checks of a real broker and a real store.

They find and repair changes, and write nothing when nothing differs.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from typing_extensions import override

from healthingest_operator.adapters.rabbitmq.broker import RabbitMQBroker, rabbitmq_broker
from healthingest_operator.adapters.s3.store import S3ObjectStore, s3_object_store
from healthingest_operator.reconcile.outcome import Outcome, ReconcileMode
from healthingest_operator.reconcile.ports import Ports, StoreAccess
from healthingest_operator.reconcile.reconcile import reconcile
from healthingest_operator.resources import bucket
from support.operator_fakes import KEY, OperatorFakes, manifest
from support.servers.rabbitmq import RabbitMQServer
from support.servers.versitygw import S3Server


class Writes(RabbitMQBroker):
    """Counts write requests."""

    def __init__(self, inner: RabbitMQBroker) -> None:
        super().__init__(inner._session, inner._timeout_seconds)
        self.count = 0

    # ANN401: as it is
    async def _request(self, access: Any, method: str, *more: Any) -> object:  # noqa: ANN401
        self.count += method != "GET"
        return await super()._request(access, method, *more)


class Steps(S3ObjectStore):
    """Counts properties that are set."""

    def __init__(self, inner: S3ObjectStore) -> None:
        super().__init__(inner._clients, inner._fingerprints)
        self.count = 0

    @override
    async def carry_out(self, access: StoreAccess, step: bucket.Step) -> bool:
        self.count += 1
        return await super().carry_out(access, step)


@pytest.fixture(name="broker")
async def _broker() -> AsyncIterator[Writes]:
    async with rabbitmq_broker(10) as found:
        yield Writes(found)


@pytest.fixture(name="store")
async def _store() -> AsyncIterator[Steps]:
    async with s3_object_store(10) as found:
        yield Steps(found)


async def test_a_look_heals_and_is_silent(
    broker: Writes, store: Steps, rabbitmq: RabbitMQServer, s3_server: S3Server
) -> None:
    """
    The next check restores a removed queue and a removed tag, and names them.

    The check after it writes nothing.
    """
    host = rabbitmq.virtual_host
    where = {
        "endpoint": s3_server.endpoint,
        "bucket": s3_server.bucket,
        "credentialsSecretRef": {"name": "s3"},
    }
    fakes = OperatorFakes(objectStore=where)
    body = manifest(objectStore={**where, "region": s3_server.region})
    body["spec"]["broker"]["virtualHost"] = host
    fakes.cluster.put(body)
    login = {"accessKeyId": s3_server.access_key_id, "secretAccessKey": s3_server.secret_access_key}
    fakes.cluster.secret("s3", login)
    admin = {"username": rabbitmq.username, "password": rabbitmq.password}
    fakes.cluster.secret(
        "rabbitmq",
        {"managementUrl": rabbitmq.management_url, "amqpUrl": rabbitmq.broker_url, **admin},
    )
    ports: Ports = replace(fakes.ports, broker=broker, store=store)
    for _ in range(6):
        await reconcile(ports, KEY)
        fakes.cluster.settle()
    assert fakes.conditions()["Ready"][0] == "True", fakes.conditions()
    for healed in ((), ("queue processing", "tagging of bucket")):
        if healed:
            rabbitmq.call("DELETE", f"/api/queues/{host}/processing")
            access = StoreAccess(
                s3_server.endpoint,
                s3_server.region,
                s3_server.bucket,
                login["accessKeyId"],
                login["secretAccessKey"],
            )
            await store.carry_out(access, bucket.Step(bucket.Capability.TAGGING, {}))
            assert await reconcile(ports, KEY, ReconcileMode.EXTERNAL_CHECK) is Outcome.READY
            assert [part for part in healed if part not in fakes.conditions()["Drifted"][2]] == []
            await reconcile(ports, KEY, ReconcileMode.EXTERNAL_CHECK)
        broker.count = store.count = 0
        fakes.forget_writes()
        assert await reconcile(ports, KEY, ReconcileMode.EXTERNAL_CHECK) in {
            Outcome.READY,
            Outcome.UNCHANGED,
        }
        assert (broker.count, store.count, fakes.cluster.writes) == (0, 0, [])
    for name in (f"{host}.relay", f"{host}.consumer"):
        rabbitmq.call("DELETE", f"/api/users/{name}")
