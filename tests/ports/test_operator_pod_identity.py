"""The operator's object store with the identity of its own pod, with STS and real S3."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from healthingest_contract.pod_identity import RETRY_SECONDS, pod_identity
from healthingest_operator.adapters.s3.store import S3ObjectStore, s3_object_store
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.ports import StoreAccess
from healthingest_operator.status import identity_causes as causes
from healthingest_operator.status.causes import Cause
from support.deadlines import HANG_SECONDS
from support.servers.process import free_port
from support.servers.token_service import TokenService, token_service
from support.servers.versitygw import S3Server


@pytest.fixture(name="tokens")
async def _tokens(s3_server: S3Server, tmp_path: Path) -> AsyncIterator[TokenService]:
    async with token_service(s3_server, tmp_path) as service:
        yield service


def access(tokens: TokenService) -> StoreAccess:
    """The bucket, without keys."""
    gateway = tokens.gateway
    return StoreAccess(tokens.endpoint, gateway.region, gateway.bucket, None, None)


async def works(store: S3ObjectStore, where: StoreAccess) -> None:
    """Every way of asking: calls of botocore, and requests that it only signs."""
    assert await store.observe(where) is not None
    assert await store.probe(where) == frozenset()
    await store.check(where)
    await store.fingerprint(where)


@pytest.mark.parametrize("kind", ["role", "agent"])
async def test_a_bucket_is_managed_without_keys(tokens: TokenService, kind: str) -> None:
    """All stores share one exchange."""
    environment = tokens.role_environment if kind == "role" else tokens.agent_environment
    async with s3_object_store(5, pod_identity(environment)) as store:
        for _ in range(2):
            await works(store, access(tokens))
    assert len(tokens.sessions) == 1


async def test_keys_are_renewed_with_the_token_of_the_moment(tokens: TokenService) -> None:
    """Short sessions and a token that kubelet replaces: nothing fails, and nothing restarts."""
    tokens.lifetime_seconds = 1.0
    async with s3_object_store(5, pod_identity(tokens.role_environment)) as store:
        async with asyncio.timeout(HANG_SECONDS):
            while len(set(tokens.accepted)) < 3:
                await works(store, access(tokens))
                tokens.project()
    assert tokens.expired == 0


async def refused_then_answered(
    ask: Callable[[StoreAccess], Awaitable[object]], where: StoreAccess
) -> int:
    """Return how often the request was refused for its keys before it succeeded."""
    async with asyncio.timeout(HANG_SECONDS):
        for count in itertools.count():
            try:
                await ask(where)
            except DependencyError as error:
                # PT017: of each attempt
                assert causes.OPERATOR_KEYS_REFUSED.remedy in error.message  # noqa: PT017
            else:
                return count
            await asyncio.sleep(RETRY_SECONDS / 20)
    raise AssertionError


async def test_keys_that_the_store_refuses_as_expired_are_replaced(tokens: TokenService) -> None:
    """After a moment the fingerprint and the calls succeed again."""
    async with s3_object_store(5, pod_identity(tokens.role_environment)) as store:
        await works(store, access(tokens))
        for ask in (store.fingerprint, store.check):
            tokens.expire_sessions()
            assert await refused_then_answered(ask, access(tokens)) > 0
    assert len(tokens.accepted) == 3


async def said(tokens: TokenService, environment: dict[str, str], cause: Cause) -> str:
    """Assert that both ways report *cause*; return the message."""
    async with s3_object_store(5, pod_identity(environment)) as store:
        for ask in (store.observe, store.fingerprint):
            with pytest.raises(DependencyError) as raised:
                await ask(access(tokens))
            assert raised.value.reason is cause.reason
            assert cause.remedy in raised.value.message
            assert "secret words" not in raised.value.message
    return raised.value.message


async def test_each_fault_has_its_cause(tokens: TokenService) -> None:
    """No identity, no token, a refused token, a token service that is not there."""
    await said(tokens, {}, causes.OPERATOR_HAS_NO_KEYS)
    tokens.project(audience="vault")
    message = await said(tokens, tokens.role_environment, causes.OPERATOR_TOKEN_REFUSED)
    assert f"127.0.0.1:{tokens.port} refuses the token of the operator (AccessDenied)" in message
    agent = tokens.agent_environment
    tokens.agent_token = "another"
    await said(tokens, agent, causes.OPERATOR_TOKEN_REFUSED)
    closed = f"http://127.0.0.1:{free_port()}"
    role = tokens.role_environment | {"AWS_ENDPOINT_URL_STS": closed}
    await said(tokens, role, causes.OPERATOR_TOKEN_SERVICE)
    tokens.token_file.unlink()
    await said(tokens, tokens.role_environment, causes.OPERATOR_HAS_NO_TOKEN)


async def test_a_store_that_does_not_know_the_keys_is_told_apart(
    tokens: TokenService, s3_server: S3Server
) -> None:
    """The identity belongs to another store: the remedy is another Secret, not another key."""
    where = StoreAccess(s3_server.endpoint, s3_server.region, s3_server.bucket, None, None)
    async with s3_object_store(5, pod_identity(tokens.role_environment)) as store:
        for ask in (store.observe, store.fingerprint):
            with pytest.raises(DependencyError) as raised:
                await ask(where)
            assert causes.OPERATOR_KEYS_REFUSED.remedy in raised.value.message
