"""Objects that the service signs itself, on a server that verifies signatures and checksums."""

from dataclasses import replace
from pathlib import Path

import pytest

from healthingest_contract.pod_identity import pod_identity
from healthingest_contract.tls import TlsMaterial
from healthingest_service.adapters.s3.client import S3Access
from healthingest_service.adapters.s3.store import S3Store, open_s3_store
from healthingest_service.uploads.errors import StoreUnavailableError
from healthingest_service.uploads.model import NewObject, StoredObject
from support.s3 import access_to
from support.servers.tls import Authority, tls_front
from support.servers.token_service import token_service
from support.servers.versitygw import S3Server
from support.uploads import sha256

CONTENT = b"content"


async def put(store: S3Store, folder: Path, key: str, metadata: dict[str, str]) -> None:
    """Put the content."""
    path = folder / "file.body"
    path.write_bytes(CONTENT)
    await store.put(NewObject(key, path, len(CONTENT), sha256(CONTENT), metadata))


@pytest.mark.parametrize(
    "key",
    [
        "raw/type=Pulse/2026/03/01/0190.avro",
        "raw/a b+c%20d%2Fe~f",
        "raw/(x)!*',;:@$&=[]{}|^`<>#?",
        "raw/ä/日本/🙂",
        "raw/.hidden/..name",
    ],
)
async def test_a_key_names_the_same_object_for_all_requests(
    s3_server: S3Server, tmp_path: Path, key: str
) -> None:
    """The server accepts the signature, and a listing has the key as it was given."""
    metadata = {"schema-name": "Pulse  rate", "note": 'a,b;c="d"'}
    async with open_s3_store(access_to(s3_server)) as store:
        await put(store, tmp_path, key, metadata)
        found = await store.head(key)
        listed = await store.bucket.client.list_objects_v2(Bucket=s3_server.bucket)
    assert found == StoredObject(len(CONTENT), sha256(CONTENT), metadata)
    assert [one["Key"] for one in listed["Contents"]] == [key]


def behind_tls(server: S3Server, port: int, bundle: bytes) -> S3Access:
    """Return the access to the server through TLS with these authorities."""
    return replace(access_to(server), endpoint=f"https://127.0.0.1:{port}", tls=TlsMaterial(bundle))


async def test_a_put_trusts_the_authorities_of_the_bundle_alone(
    s3_server: S3Server, tmp_path: Path
) -> None:
    """As every other request: another authority is refused, and nothing is stored."""
    authority = Authority()
    context = authority.issue().server_context(tmp_path)
    async with tls_front(s3_server.port, context) as port:
        for bundle, is_trusted in ((Authority().bundle, False), (authority.bundle, True)):
            async with open_s3_store(behind_tls(s3_server, port, bundle)) as store:
                if is_trusted:
                    await put(store, tmp_path, "raw/key", {})
                    assert await store.head("raw/key") is not None
                else:
                    with pytest.raises(StoreUnavailableError):
                        await put(store, tmp_path, "raw/key", {})
    async with open_s3_store(access_to(s3_server)) as store:
        assert await store.remains("raw/key") == 1


async def test_each_put_is_signed_with_the_keys_of_the_moment(
    s3_server: S3Server, tmp_path: Path
) -> None:
    """Sessions of one second, and PUTs alone: none is refused, and keys are renewed meanwhile."""
    async with token_service(s3_server, tmp_path) as tokens:
        tokens.lifetime_seconds = 1.0
        where = S3Access(
            endpoint=tokens.endpoint,
            region=s3_server.region,
            bucket=s3_server.bucket,
            access_key_id=None,
            secret_access_key=None,
            timeout_seconds=5,
            identity=pod_identity(tokens.role_environment),
        )
        async with open_s3_store(where) as store:
            while len(tokens.sessions) < 3:
                await put(store, tmp_path, "raw/key", {})
        assert tokens.expired == 0
