import base64
import hashlib
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from healthingest_contract.object_keys import ObjectKey
from healthingest_service.uploads.content import ReadUpload
from healthingest_service.uploads.errors import StoreUnavailableError
from healthingest_service.uploads.model import Sha256, UploadId, UploadState
from support.edge import Edge
from support.fakes import MemoryStore
from support.samples import good_file
from support.study_people import person
from support.uploads import NOON

FILE = good_file(100)
SHA256 = hashlib.sha256(FILE)


async def uploaded(edge: Edge, user: dict[str, str]) -> str:
    """Upload the file; returns the path of its content."""
    receipt = (await edge.upload(FILE, user)).json()
    return f"/v1/uploads/{receipt['upload_id']}/content"


def code_of(answer: httpx.Response) -> str:
    """Return the problem code of *answer*."""
    code: str = answer.json()["type"].rpartition("/")[2]
    return code


async def test_sends_the_file_as_it_was_uploaded(edge: Edge) -> None:
    """The same bytes, with type, length, name, entity tag and digest; no cache keeps them."""
    user = await edge.signed_in()
    path = await uploaded(edge, user)
    answer = await edge.http.get(path, headers=user)
    assert (answer.status_code, answer.content) == (200, FILE)
    upload_id = path.split("/")[3]
    wanted = {
        "content-type": "application/avro",
        "content-length": str(len(FILE)),
        "content-disposition": f'attachment; filename="HeartRateRecord-{upload_id}.avro"',
        "accept-ranges": "bytes",
        "cache-control": "private, no-store",
        "etag": f'"{SHA256.hexdigest()}"',
        "repr-digest": f"sha-256=:{base64.b64encode(SHA256.digest()).decode()}:",
        "x-content-type-options": "nosniff",
    }
    assert {name: answer.headers.get(name) for name in wanted} == wanted
    assert "ratelimit" in answer.headers


async def test_head_has_the_same_headers_and_no_content(edge: Edge) -> None:
    """RFC 9110, 9.3.2."""
    user = await edge.signed_in()
    path = await uploaded(edge, user)
    full = await edge.http.get(path, headers=user)
    head = await edge.http.head(path, headers=user | {"Range": "bytes=0-0"})
    assert (head.status_code, head.content) == (200, b"")
    changing = {"x-correlation-id", "ratelimit"}
    shown = [
        {name: value for name, value in one.headers.items() if name not in changing}
        for one in (full, head)
    ]
    assert shown[0] == shown[1]


async def test_sends_a_range(edge: Edge) -> None:
    """Status 206, the part, its place, and the digest of the whole file."""
    user = await edge.signed_in()
    path = await uploaded(edge, user)
    answer = await edge.http.get(path, headers=user | {"Range": "bytes=3-6"})
    assert (answer.status_code, answer.content) == (206, FILE[3:7])
    assert answer.headers["content-range"] == f"bytes 3-6/{len(FILE)}"
    assert answer.headers["content-length"] == "4"
    assert base64.b64encode(SHA256.digest()).decode() in answer.headers["repr-digest"]
    several = await edge.http.get(path, headers=user | {"Range": "bytes=0-1,3-4"})
    assert (several.status_code, several.content) == (200, FILE)


async def test_answers_conditions(edge: Edge) -> None:
    """The tag that the client has: 304 without content; another: 412; a range outside: 416."""
    user = await edge.signed_in()
    path = await uploaded(edge, user)
    etag = f'"{SHA256.hexdigest()}"'
    known = await edge.http.get(path, headers=user | {"If-None-Match": etag})
    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", etag)
    other = await edge.http.get(path, headers=user | {"If-Match": '"other"'})
    assert (other.status_code, code_of(other)) == (412, "precondition-failed")
    outside = await edge.http.get(path, headers=user | {"Range": f"bytes={len(FILE)}-"})
    assert (outside.status_code, code_of(outside)) == (416, "range-not-satisfiable")
    assert outside.headers["content-range"] == f"bytes */{len(FILE)}"


async def test_hides_what_is_anothers(edge: Edge) -> None:
    """Another owner's upload, one not yet stored, an unknown and a malformed id look alike."""
    owner, stranger = [await edge.signed_in() for _ in range(2)]
    path = await uploaded(edge, owner)
    stored = await edge.runtime.ledger.find(UploadId(UUID(path.split("/")[3])))
    begun = replace(stored, id=UploadId(uuid4()), state=UploadState.STORING)
    key = str(ObjectKey(begun.receipt.record_type, begun.owner, NOON, "1" * 64))
    receipt = replace(begun.receipt, upload_id=begun.id, object_key=key, file_hash=Sha256("1" * 64))
    await edge.runtime.ledger.begin(
        replace(begun, receipt=receipt, received_at=NOON), idempotency_key=None, lease_seconds=60
    )
    same = {"X-Correlation-ID": "same-for-all"}
    answers = [
        await edge.http.get(path, headers=stranger | same),
        await edge.http.get(f"/v1/uploads/{begun.id}/content", headers=owner | same),
        await edge.http.get(f"/v1/uploads/{uuid4()}/content", headers=owner | same),
        await edge.http.get("/v1/uploads/no-id/content", headers=owner | same),
    ]
    assert {(answer.status_code, answer.text) for answer in answers} == {(404, answers[0].text)}
    assert code_of(answers[0]) == "upload-not-found"
    assert (await edge.http.get(path)).status_code == 401


@pytest.mark.parametrize("damage", ["removed", "changed", "cut"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_says_that_the_object_is_lost(edge: Edge, damage: str, method: str) -> None:
    """The object is missing, or its bytes are others: an own problem. HEAD reads no bytes."""
    user = await edge.signed_in()
    path = await uploaded(edge, user)
    (file,) = edge.objects()
    if damage == "removed":
        file.unlink()
    else:
        file.write_bytes(FILE[:-1] + b"x" if damage == "changed" else b"")
    answer = await edge.http.request(method, path, headers=user)
    if (damage, method) == ("changed", "HEAD"):
        assert answer.status_code == 200
    else:
        assert answer.status_code == 404
        assert method == "HEAD" or code_of(answer) == "content-lost"


async def test_says_that_a_lost_upload_is_lost(edge: Edge) -> None:
    """The consistency check has found it lost: the store is not asked."""
    user = await edge.signed_in()
    path = await uploaded(edge, user)
    async with edge.runtime.engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE upload SET state = 'lost'")
    assert code_of(await edge.http.get(path, headers=user)) == "content-lost"


class FailingStore(MemoryStore):
    """A store whose objects end early after their first bytes."""

    async def read_range(self, key: str, *, offset: int, size_bytes: int) -> Any:  # noqa: ANN401
        """Yield one byte, then fail."""
        del key, size_bytes
        yield FILE[offset : offset + 1]
        raise StoreUnavailableError


def metric(edge: Edge, outcome: str) -> float:
    """Return the number of downloads that ended like this."""
    value = edge.deps.metrics.registry.get_sample_value(
        "healthingest_downloads_total", {"outcome": outcome}
    )
    return value or 0.0


async def test_a_store_that_is_down_is_named_before_the_head(edge: Edge) -> None:
    """No byte came: a problem, which may pass."""
    user = await edge.signed_in()
    path = await uploaded(edge, user)
    down = ReadUpload(
        ledger=edge.deps.ledger, store=MemoryStore(is_down=True), studies=edge.deps.studies
    )
    edge.app.state.deps = replace(edge.deps, content=down)
    answer = await edge.http.get(path, headers=user)
    assert (answer.status_code, answer.json()["cause"]) == (503, "object-store")


async def test_a_store_that_fails_later_leaves_the_answer_incomplete(edge: Edge) -> None:
    """The answer never completes, so the server closes the connection; it is counted."""
    user = await edge.signed_in()
    path = await uploaded(edge, user)
    failing = ReadUpload(ledger=edge.deps.ledger, store=FailingStore(), studies=edge.deps.studies)
    edge.app.state.deps = replace(edge.deps, content=failing)
    with pytest.raises(AssertionError):  # httpx's transport: the answer is not complete
        await edge.http.get(path, headers=user)
    assert (metric(edge, "store-failed"), metric(edge, "complete")) == (1.0, 0.0)
    assert edge.deps.download_slots._taken == {}


async def test_counts_downloads_and_bytes(edge: Edge) -> None:
    """Complete ones, with the bytes that were sent."""
    user = await edge.signed_in()
    path = await uploaded(edge, user)
    await edge.http.get(path, headers=user)
    await edge.http.get(path, headers=user | {"Range": "bytes=-10"})
    assert metric(edge, "complete") == 2.0
    read = edge.deps.metrics.registry.get_sample_value
    assert read("healthingest_download_bytes_total") == len(FILE) + 10


async def test_readers_of_the_study_download(edge: Edge) -> None:
    """And see the upload; an uploader of the study, another study and everybody else do not."""
    sender = await person(edge, roles=("uploader",))
    about = {"Healthingest-Study": "sleep", "Healthingest-Subject": "P-1"}
    path = await uploaded(edge, sender.headers | about)
    wanted = {"reader": 200, "manager": 200, "uploader": 404}
    for role, status in wanted.items():
        member = await person(edge, roles=(role,))
        answers = [await member.sends("GET", one) for one in (path, path.removesuffix("/content"))]
        assert [answer.status_code for answer in answers] == [status] * 2, role
    for other in (await person(edge), await person(edge, is_admin=True)):
        assert code_of(await other.sends("GET", path)) == "upload-not-found"
    own = await uploaded(edge, sender.headers)
    manager = await person(edge, roles=("manager",))
    assert code_of(await manager.sends("GET", own)) == "upload-not-found"
