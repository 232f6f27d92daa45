"""The service's object store with temporary keys of the pod's identity, with STS and real S3."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from healthingest_contract.pod_identity import IdentityFailure, PodIdentityError, pod_identity
from healthingest_contract.stop_causes import StopCause, stop_cause
from healthingest_service.adapters.s3.client import S3Access
from healthingest_service.adapters.s3.inventory import open_s3_inventory
from healthingest_service.adapters.s3.store import S3Store, open_s3_store
from healthingest_service.main.process_exit import report_failure
from healthingest_service.uploads.errors import StoreRefusedError, StoreUnavailableError
from healthingest_service.uploads.model import NewObject
from support.deadlines import HANG_SECONDS
from support.servers.process import free_port
from support.servers.token_service import TokenService, token_service
from support.servers.versitygw import S3Server
from support.uploads import sha256

CONTENT = b"content"


@pytest.fixture(name="tokens")
async def _tokens(s3_server: S3Server, tmp_path: Path) -> AsyncIterator[TokenService]:
    async with token_service(s3_server, tmp_path) as service:
        yield service


def access(tokens: TokenService, environment: dict[str, str]) -> S3Access:
    """The bucket without static keys, in a pod with this *environment*."""
    return S3Access(
        endpoint=tokens.endpoint,
        region=tokens.gateway.region,
        bucket=tokens.gateway.bucket,
        access_key_id=None,
        secret_access_key=None,
        timeout_seconds=5,
        identity=pod_identity(environment),
    )


async def put(store: S3Store, folder: Path, name: str) -> None:
    """Store an object, and find it."""
    path = folder / "file.body"
    path.write_bytes(CONTENT)
    await store.put(NewObject(f"raw/{name}", path, len(CONTENT), sha256(CONTENT)))
    found = await store.head(f"raw/{name}")
    assert found is not None
    assert found.sha256 == sha256(CONTENT)


async def succeeds(store: S3Store) -> None:
    """Return when a request has succeeded."""
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            with suppress(StoreRefusedError, StoreUnavailableError):
                await store.check()
                return
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("kind", ["role", "agent"])
async def test_store_and_listing_work_without_static_keys(
    tokens: TokenService, tmp_path: Path, kind: str
) -> None:
    """With a projected token, and with the endpoint of the node; keys are got once and kept."""
    environment = tokens.role_environment if kind == "role" else tokens.agent_environment
    where = access(tokens, environment)
    async with open_s3_store(where) as store, open_s3_inventory(where) as inventory:
        for number in range(3):
            await put(store, tmp_path, str(number))
        page = await inventory.page(after="", limit=10)
    assert len(page.objects) == 3
    assert len(tokens.sessions) == 2


async def test_keys_are_renewed_with_the_token_of_the_moment(
    tokens: TokenService, tmp_path: Path
) -> None:
    """Short sessions, a token that kubelet replaces: no request fails, and nothing restarts."""
    tokens.lifetime_seconds = 1.0
    seen = {tokens.token_file.read_text().strip()}
    async with open_s3_store(access(tokens, tokens.role_environment)) as store:
        async with asyncio.timeout(HANG_SECONDS):
            while len(set(tokens.accepted)) < 3:
                await put(store, tmp_path, "object")
                seen.add(tokens.project())
    assert set(tokens.accepted) <= seen
    assert tokens.expired == 0


async def test_keys_that_the_store_refuses_as_expired_are_replaced(
    tokens: TokenService, tmp_path: Path
) -> None:
    """Clocks differ, or a session is revoked: soon requests succeed again, without a restart."""
    async with open_s3_store(access(tokens, tokens.role_environment)) as store:
        await put(store, tmp_path, "before")
        tokens.expire_sessions()
        await succeeds(store)
        await put(store, tmp_path, "after")
    assert tokens.expired > 0


REFUSALS = [
    ("another audience", "", "AccessDenied"),
    ("expired", "", "ExpiredTokenException"),
    ("no role", "AccessDenied", "AccessDenied"),
]


@pytest.mark.parametrize(("what", "refusal", "code"), REFUSALS)
async def test_a_refused_token_ends_the_start_with_its_cause(
    tokens: TokenService, tmp_path: Path, what: str, refusal: str, code: str
) -> None:
    """The operator reads the cause; the error has the code of STS and none of its words."""
    tokens.refusal = refusal
    if what == "another audience":
        tokens.project(audience="vault")
    elif what == "expired":
        tokens.project(seconds=-1)
    with pytest.raises(PodIdentityError) as raised:
        async with open_s3_store(access(tokens, tokens.role_environment)):
            pass
    assert (raised.value.failure, raised.value.code) == (IdentityFailure.REFUSED, code)
    assert "secret words" not in repr(raised.value)
    log = tmp_path / "termination-log"
    log.write_text("")
    report_failure(raised.value, log=log)
    assert stop_cause(log.read_text()) is StopCause.STORE_TOKEN_REFUSED


async def test_a_refusing_agent_and_a_missing_token_are_told_apart(
    tokens: TokenService,
) -> None:
    """No association of the ServiceAccount; no projected token."""
    environment = tokens.agent_environment
    tokens.agent_token = "another"
    with pytest.raises(PodIdentityError) as raised:
        async with open_s3_store(access(tokens, environment)):
            pass
    assert (raised.value.failure, raised.value.code) == (IdentityFailure.REFUSED, "HTTP400")
    tokens.token_file.unlink()
    with pytest.raises(PodIdentityError) as raised:
        async with open_s3_store(access(tokens, tokens.role_environment)):
            pass
    assert raised.value.failure is IdentityFailure.NO_TOKEN


@pytest.mark.parametrize("kind", ["role", "agent"])
async def test_the_store_opens_without_the_token_service(tokens: TokenService, kind: str) -> None:
    """The store opens, and requests are refused, because nothing was sent."""
    environment = tokens.role_environment if kind == "role" else tokens.agent_environment
    name = "AWS_ENDPOINT_URL_STS" if kind == "role" else "AWS_CONTAINER_CREDENTIALS_FULL_URI"
    environment[name] = f"http://127.0.0.1:{free_port()}"
    async with open_s3_store(access(tokens, environment)) as store:
        with pytest.raises(StoreRefusedError) as raised:
            await store.check()
    assert isinstance(raised.value.__cause__, PodIdentityError)
    assert raised.value.__cause__.failure is IdentityFailure.UNREACHABLE


async def test_a_token_service_that_works_again_is_noticed(
    tokens: TokenService, tmp_path: Path
) -> None:
    """A pod that started during its outage stores uploads afterwards."""
    tokens.refusal = "ServiceUnavailable"
    async with open_s3_store(access(tokens, tokens.role_environment)) as store:
        with pytest.raises(StoreRefusedError):
            await put(store, tmp_path, "object")
        tokens.refusal = ""
        await succeeds(store)
        await put(store, tmp_path, "object")
