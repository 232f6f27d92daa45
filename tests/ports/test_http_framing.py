"""A running server and bytes on a socket: valid requests, their limits, and where they end."""

import itertools
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.raw_http import Answer, once, request, resident_bytes, talk
from support.samples import good_file
from support.service_process import ServiceProcess, service

PASSWORD = "correct horse battery"
FLOOD_BYTES = 24 << 20
TAKEN_BYTES = 12 << 20
"""The bytes that socket buffers and a server take that discards its input."""
GROWTH_BYTES = 24 << 20
PIECE = 1 << 16
JAVA = """
import java.net.URI;
import java.net.http.*;
import java.nio.file.*;

public class Upload {
    public static void main(String[] words) throws Exception {
        var client = HttpClient.newHttpClient();
        for (int i = 0; i < 2; i++) {
            var sent = HttpRequest.newBuilder(URI.create(words[0]))
                .header("Content-Type", "application/avro")
                .header("Authorization", "Bearer " + words[1])
                .POST(HttpRequest.BodyPublishers.ofFile(Path.of(words[2]))).build();
            var answer = client.send(sent, HttpResponse.BodyHandlers.ofString());
            System.out.println(answer.statusCode());
        }
    }
}
"""


@pytest.fixture(scope="module", name="running")
def _running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    folder = tmp_path_factory.mktemp("framing")
    generous = {"LIMITS__UPLOADS": "100000/minute", "LIMITS__LOGINS": "100000/minute"}
    with service(folder, **generous) as running:
        running.wait_until_ready()
        yield running


@pytest.fixture(scope="module", name="token")
def _token(running: ServiceProcess) -> str:
    account = {"email": "ada@clinic.example", "password": PASSWORD}
    with httpx.Client(base_url=running.address(), timeout=60) as client:
        client.post("/auth/register", json=account).raise_for_status()
        login = client.post(
            "/auth/jwt/login", data={"username": account["email"], "password": PASSWORD}
        )
        token: str = login.raise_for_status().json()["access_token"]
        return token


def _upload(token: str, content: bytes | None, **headers: str) -> bytes:
    said = {"Authorization": f"Bearer {token}", "Content-Type": "application/avro"} | headers
    return request("POST", "/v1/upload", content, **said)


CHUNKED = (
    b"POST /auth/jwt/login HTTP/1.1\r\nHost: x\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
)
FLOODS = {
    "value": (b"GET / HTTP/1.1\r\nHost: x\r\nA: ", b"a" * PIECE, 431, "head-too-large"),
    "name": (b"GET / HTTP/1.1\r\nHost: x\r\n", b"a" * PIECE, 431, "head-too-large"),
    "many fields": (
        b"GET / HTTP/1.1\r\nHost: x\r\n",
        b"a:b\r\n" * (PIECE // 5),
        431,
        "head-too-large",
    ),
    "url": (b"GET /", b"a" * PIECE, 414, "url-too-long"),
    "method": (b"", b"A" * PIECE, 414, "url-too-long"),
    "trailers": (CHUNKED, b"a:b\r\n" * (PIECE // 5), 431, "head-too-large"),
    "one trailer": (CHUNKED + b"A: ", b"a" * PIECE, 431, "head-too-large"),
    "chunk extension": (CHUNKED[: -len(b"0\r\n")] + b"5;a=", b"a" * PIECE, 431, "head-too-large"),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_a_head_without_end_is_refused_and_not_kept(running: ServiceProcess, kind: str) -> None:
    """
    The problem has the status of the exceeded limit, long before the sender is done.

    Memory does not grow.
    """
    begin, more, status, code = FLOODS[kind]
    before = resident_bytes(running.process.pid)
    with talk(running.address()) as connection:
        connection.say(begin)
        connection.flood(itertools.repeat(more), FLOOD_BYTES)
        answer = connection.answer()
    assert (answer.status, answer.problem, answer.headers["connection"]) == (status, code, "close")
    assert connection.sent_bytes < TAKEN_BYTES
    assert resident_bytes(running.process.pid) - before < GROWTH_BYTES


def _fields(count: int) -> bytes:
    return b"".join(b"X-%d: y\r\n" % number for number in range(count))


HOST = b"Host: x\r\n"
EDGES = {
    "a value as large as may be": (
        b"GET / HTTP/1.1\r\n" + HOST + b"A: " + b"a" * 32_000 + b"\r\n\r\n",
        200,
    ),
    "a value a little larger": (
        b"GET / HTTP/1.1\r\n" + HOST + b"A: " + b"a" * 33_000 + b"\r\n\r\n",
        431,
    ),
    "a hundred fields": (b"GET / HTTP/1.1\r\n" + HOST + _fields(99) + b"\r\n", 200),
    "a hundred and one": (b"GET / HTTP/1.1\r\n" + HOST + _fields(100) + b"\r\n", 431),
    "a URL as long as may be": (b"GET /?" + b"a" * 8_190 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 200),
    "a URL one byte longer": (b"GET /?" + b"a" * 8_191 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    "trailers": (CHUNKED + b"A: b\r\n\r\n", 422),
}
FRAMING = {
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two Hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    "the same Host twice": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    "HTTP/0.9": (b"GET /\r\n\r\n", 400),
    "HTTP/1.2": (b"GET / HTTP/1.2\r\n" + HOST + b"\r\n", 400),
    "HTTP/2.0": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "HTTP/1.0 without Host": (b"GET / HTTP/1.0\r\n\r\n", 200),
    "absolute form": (b"GET http://clinic.example/health/live HTTP/1.1\r\n" + HOST + b"\r\n", 200),
    "absolute form without a path": (
        b"GET http://clinic.example HTTP/1.1\r\n" + HOST + b"\r\n",
        200,
    ),
    "coding gzip, chunked": (
        b"POST /auth/jwt/login HTTP/1.1\r\n"
        + HOST
        + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "coding identity": (
        b"POST /auth/jwt/login HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: identity\r\n\r\n",
        400,
    ),
    "two codings": (
        b"POST /auth/jwt/login HTTP/1.1\r\n"
        + HOST
        + b"Transfer-Encoding: chunked\r\n" * 2
        + b"\r\n0\r\n\r\n",
        400,
    ),
    "coding in HTTP/1.0": (
        b"POST /auth/jwt/login HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "length and coding": (
        b"POST /auth/jwt/login HTTP/1.1\r\n"
        + HOST
        + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "two lengths": (
        b"POST /auth/jwt/login HTTP/1.1\r\n"
        + HOST
        + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\na",
        400,
    ),
    "signed length": (
        b"POST /auth/jwt/login HTTP/1.1\r\n" + HOST + b"Content-Length: +1\r\n\r\na",
        400,
    ),
    "no hexadecimal chunk size": (CHUNKED.replace(b"\r\n1\r\n", b"\r\nx\r\n"), 400),
    "bare LF": (b"GET / HTTP/1.1\nHost: x\n\n", 400),
    "one bare LF": (b"GET / HTTP/1.1\r\nA: b\n" + HOST + b"\r\n", 400),
    "a bare CR": (b"GET / HTTP/1.1\r\nA: b\rc\r\n" + HOST + b"\r\n", 400),
    "a folded line": (b"GET / HTTP/1.1\r\nA: b\r\n c\r\n" + HOST + b"\r\n", 400),
    "a blank before the colon": (b"GET / HTTP/1.1\r\n" + HOST + b"A : b\r\n\r\n", 400),
    "NUL": (b"GET / HTTP/1.1\r\n" + HOST + b"A: \0\r\n\r\n", 400),
    "CONNECT": (b"CONNECT a:1 HTTP/1.1\r\n" + HOST + b"\r\n", 404),
    "an encoded slash": (request("POST", "/v1%2fupload", b""), 404),
    "an encoded slash in capitals": (request("GET", "/health%2Flive"), 404),
}


@pytest.mark.parametrize("kind", EDGES | FRAMING)
def test_what_a_request_may_be(running: ServiceProcess, kind: str) -> None:
    """
    Requests at the limits are accepted.

    Framing that servers read differently is refused as a problem.
    """
    said, status = (EDGES | FRAMING)[kind]
    answer = once(running.address(), said)
    assert answer.status == status, answer
    if status >= 400:
        assert answer.problem
    if status in {400, 414, 431}:
        assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("protocol", ["foo", "h2c", "websocket"])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_upgrade_is_ignored(
    running: ServiceProcess, token: str, protocol: str, *, is_chunked: bool
) -> None:
    """A body in a later packet is the body, and the next request follows it (RFC 9110, 7.8)."""
    content = good_file(3, seed=hash((protocol, is_chunked)) % 10_000)
    upgrade = {
        "Connection": "Upgrade, HTTP2-Settings",
        "Upgrade": protocol,
        "HTTP2-Settings": "AAMAAABkAAQAAP__",
    }
    framing = (
        {"Transfer-Encoding": "chunked"} if is_chunked else {"Content-Length": str(len(content))}
    )
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content) if is_chunked else content
    with talk(running.address()) as connection:
        connection.say(_upload(token, None, **upgrade, **framing))
        connection.say(body)
        first = connection.answer()
        connection.say(request("GET", "/"))
        second = connection.answer()
    assert (first.status, second.status) == (201, 200), first


def test_a_body_is_never_run_as_a_request(running: ServiceProcess, token: str) -> None:
    """A request within the body of one with `Upgrade` gets no answer of its own."""
    smuggled = request("GET", "/")
    with talk(running.address()) as connection:
        connection.say(
            _upload(
                token, None, Connection="Upgrade", Upgrade="foo", Content_Length=str(len(smuggled))
            )
        )
        connection.say(smuggled)
        assert connection.answer().problem == "not-avro"
        connection.end_sending()
        assert connection.rest() == b""


def test_a_request_after_one_that_was_answered_early_is_not_run(running: ServiceProcess) -> None:
    """An early answer closes the connection, also with `Expect: 100-continue`."""
    for expect in ({}, {"Expect": "100-continue"}):
        with talk(running.address()) as connection:
            connection.say(_upload("none", None, Content_Length="100", **expect))
            answer = connection.answer()
            connection.say(request("GET", "/"))
            assert (answer.status, answer.headers["connection"]) == (401, "close")
            assert connection.rest() == b""


def test_pipelined_requests_are_answered_in_their_order(running: ServiceProcess) -> None:
    """Even if all of them come in one packet, and the client has closed its side."""
    with talk(running.address()) as connection:
        connection.say(
            request("GET", "/") + request("GET", "/nothing") + request("GET", "/health/live")
        )
        connection.end_sending()
        answers: list[Answer] = [connection.answer() for _ in range(3)]
        assert connection.rest() == b""
    assert [answer.status for answer in answers] == [200, 404, 200]


def test_a_head_has_no_body(running: ServiceProcess) -> None:
    """It has the length of `GET`, and the next answer follows directly."""
    with talk(running.address()) as connection:
        connection.say(request("HEAD", "/"), request("GET", "/"))
        head = connection.answer("HEAD")
        got = connection.answer()
    assert (head.status, got.status) == (200, 200)
    assert head.headers["content-length"] == str(len(got.body))


def test_a_client_that_has_ended_gets_its_answer(running: ServiceProcess, token: str) -> None:
    """After a complete request, and after an incomplete one."""
    content = good_file(2, seed=77)
    with talk(running.address()) as connection:
        connection.say(_upload(token, content))
        connection.end_sending()
        assert connection.answer().status == 201
    with talk(running.address()) as connection:
        connection.say(_upload(token, content)[:-1])
        connection.end_sending()
        assert connection.answer().problem == "body-incomplete"


@pytest.mark.skipif(shutil.which("java") is None, reason="needs java")
def test_java_s_client_uploads(running: ServiceProcess, token: str, tmp_path: Path) -> None:
    """`java.net.http` offers h2c with each first request on plain HTTP; its upload is accepted."""
    (tmp_path / "Upload.java").write_text(JAVA, encoding="utf-8")
    (tmp_path / "file.avro").write_bytes(good_file(5, seed=99))
    words = ["java", "Upload.java", f"{running.address()}/v1/upload", token, "file.avro"]
    done = subprocess.run(
        words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout.split() == ["201", "200"], done.stderr
