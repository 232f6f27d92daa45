"""RFC 9530: what arrived is what was sent, or it is refused."""

import base64
import hashlib
from collections.abc import AsyncIterator

import httpx
import pytest

from healthingest_service.api.digests import Digest, read_on, verified
from support.edge import Edge
from support.samples import good_file

OTHER = b"Obj\x01 but not what was sent"


def digest(content: bytes, algorithm: str = "sha-256") -> str:
    """One member."""
    value = hashlib.new(algorithm.replace("-", ""), content).digest()
    return f"{algorithm}=:{base64.b64encode(value).decode()}:"


async def has_nothing(edge: Edge, user: dict[str, str]) -> bool:
    """No object, no row, no spooled byte."""
    rows = (await edge.http.get("/v1/uploads", headers=user)).json()["uploads"]
    return [edge.objects(), rows, list((edge.folder / "spool").glob("*.body"))] == [[], [], []]


@pytest.mark.parametrize("field", ["Content-Digest", "Repr-Digest"])
@pytest.mark.parametrize(
    "text",
    [
        "{sha-256}",
        "{sha-512}",
        "{sha-256}, {sha-512}",
        "sha-256=:" + base64.b64encode(bytes(32)).decode() + ":,{sha-256}",
        "md5=:AAAA:, {sha-256}",
        'unixsum=:MA==:;a;b=1;c="x,y",\t{sha-256};d=?1',
        "md5=:AAAA:",
        "",
    ],
)
async def test_what_was_meant_is_taken(edge: Edge, field: str, text: str) -> None:
    """
    Right digests of both algorithms, among others that are not known here.

    Of a key that comes twice, the last.
    """
    content = good_file(3)
    text = text.replace("{sha-256}", digest(content)).replace(
        "{sha-512}", digest(content, "sha-512")
    )
    assert (await edge.upload(content, await edge.signed_in() | {field: text})).status_code == 201


@pytest.mark.parametrize("field", ["Content-Digest", "Repr-Digest"])
@pytest.mark.parametrize("algorithm", ["sha-256", "sha-512"])
@pytest.mark.parametrize("sent", [good_file(3), good_file(3)[:-7], b"no avro", OTHER + bytes(3000)])
async def test_other_bytes_are_refused(edge: Edge, field: str, algorithm: str, sent: bytes) -> None:
    """Damage is called so, whether or not the bytes are still a file; nothing is kept."""
    user = await edge.signed_in()

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(sent), 100):
            yield sent[start : start + 100]

    answer = await edge.upload(chunks(), user | {field: digest(good_file(2), algorithm)})
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (
        400,
        "digest-mismatch",
    )
    assert await has_nothing(edge, user)


async def test_one_of_two_is_enough_to_refuse(edge: Edge) -> None:
    """Every digest must be right."""
    content = good_file(3)
    user = await edge.signed_in()
    wrong = {"Content-Digest": digest(content), "Repr-Digest": digest(OTHER, "sha-512")}
    assert (await edge.upload(content, user | wrong)).json()["type"].endswith("/digest-mismatch")
    assert await has_nothing(edge, user)


@pytest.mark.parametrize(
    "text",
    [
        "sha-256",
        "sha-256=abc",
        "sha-256=:abc",
        "sha-256=:a:",
        "sha-256=:AAAA:",
        "sha-256=:A*==:",
        "md5=1",
        "SHA-256=:AAAA:",
        digest(b"") + " " + digest(b""),
        digest(b"") + ",,md5=:AAAA:",
        digest(b"") + ";=1",
        f"sha-512={digest(b'').partition('=')[2]}",
    ],
)
async def test_what_is_no_digest_is_refused(edge: Edge, text: str) -> None:
    """
    Not a dictionary of byte sequences, or not as long as the algorithm's.

    Refused, and not echoed.
    """
    user = await edge.signed_in()
    answer = await edge.upload(good_file(3), user | {"Content-Digest": text})
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (400, "invalid-digest")
    assert text not in answer.text
    assert await has_nothing(edge, user)


async def test_a_wrong_file_of_the_right_bytes_is_wrong(edge: Edge) -> None:
    """With a right digest the result about the file stands."""
    content = good_file(2)[:-7]
    user = await edge.signed_in()
    answer = await edge.upload(content, user | {"Content-Digest": digest(content)})
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (422, "file-refused")


async def test_does_not_read_on_for_ever() -> None:
    """A refused body that does not end is read to the size limit, not further."""
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1024
            yield bytes(1024)

    await read_on(verified(endless(), [Digest("sha-256", bytes(32))]), max_bytes=4096)
    assert sent <= 4096 + 1024


@pytest.mark.parametrize(("damage", "status"), [(b"", 201), (b"x", 400)])
async def test_covers_the_whole_form(edge: Edge, damage: bytes, status: int) -> None:
    """Of a form it is the request's content, not the file within, that has the digest."""
    form = httpx.Request(
        "POST", "http://test", files={"file": ("f.avro", good_file(3))}, data={"note": "n"}
    )
    content = form.read()
    headers = {"Content-Type": form.headers["content-type"], "Content-Digest": digest(content)}
    sent = content.replace(b"\r\n\r\nn\r\n", b"\r\n\r\nn" + damage + b"\r\n")
    answer = await edge.upload(sent, await edge.signed_in() | headers)
    assert answer.status_code == status
