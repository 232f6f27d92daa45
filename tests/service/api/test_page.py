"""The page `/ui` over HTTP: its files, their headers and size, and its session."""

import gzip
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Final

import httpx
import pytest
from sqlalchemy import select

from healthingest_service.adapters.database.account_tables import RefreshTokenRow
from healthingest_service.adapters.database.engine import transaction
from healthingest_service.api import page_files
from healthingest_service.api.app import openapi_document
from healthingest_service.api.page_session import COOKIE
from support.edge import PASSWORD, Edge, open_edge

HEADER: Final = {"Healthingest-Page": "1"}
BUDGET_BYTES: Final = 150_000
FOLDER: Final = Path(page_files.__file__).with_name("page")
SCRIPTS: Final = sorted(FOLDER.glob("*.js"))


@pytest.fixture(name="edge")
async def _edge(tmp_path: Path) -> AsyncIterator[Edge]:
    async with open_edge(tmp_path) as edge:
        yield edge


def code_of(answer: httpx.Response) -> tuple[int, str]:
    """Return status and problem code."""
    return answer.status_code, answer.json()["type"].rpartition("/")[2]


def cookie_of(answer: httpx.Response) -> str:
    """Return the value of the cookie that the answer sets."""
    return SimpleCookie(answer.headers["set-cookie"])[COOKIE].value


async def signed_in(edge: Edge, email: str | None = None) -> httpx.Response:
    """Return the answer to a sign-in of a new account, or of that one."""
    email = email or await edge.registered()
    document = {"email": email, "password": PASSWORD}
    return await edge.http.post("/ui/session", json=document, headers=HEADER)


async def asked(edge: Edge, method: str, path: str, cookie: str | None) -> httpx.Response:
    """Return the answer to a request of the page with a cookie."""
    headers = HEADER | ({} if cookie is None else {"Cookie": f"{COOKIE}={cookie}"})
    return await edge.http.request(method, path, headers=headers)


def test_is_small() -> None:
    """All files together, as a browser loads them."""
    page = page_files.page()
    sizes = [len(one.compressed) for one in (page.index, *page.assets.values())]
    assert sum(sizes) < BUDGET_BYTES


async def test_names_only_files_that_are_there(edge: Edge) -> None:
    """Each of its own; each module is loaded ahead, so that none waits for another."""
    index = await edge.http.get("/ui")
    assert index.headers["content-type"] == "text/html; charset=utf-8"
    named = re.findall(r'(?:src|href)="(?!#)([^"]+)"', index.text)
    for path in named:
        answer = await edge.http.get(f"/{path}")
        assert (answer.status_code, len(answer.content) > 100) == (200, True), path
    modules = {str(one.relative_to(FOLDER)) for one in FOLDER.rglob("*.js")}
    assert {path.split("/", 3)[3] for path in named if path.endswith(".js")} == modules


async def test_has_a_strict_policy(edge: Edge) -> None:
    """Nothing inline and no other host, in the page and in each file."""
    index = await edge.http.get("/ui")
    script = re.search(r'src="([^"]+)"', index.text)
    assert script is not None
    for answer in (index, await edge.http.get(f"/{script[1]}")):
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert not re.search(r"https?:|\*|unsafe|data:", policy)
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"<script(?! type=\"module\" src)|<style|style=|\son\w+=", index.text)
    assert not re.search(r"""(?:src|href|action)\s*=\s*["']?(?:[a-z]+:)?//""", index.text)


async def test_is_cached_as_long_as_it_is_the_same(edge: Edge) -> None:
    """Files for ever, since a change gives them other paths; the page is asked for each time."""
    index = await edge.http.get("/ui")
    assert index.headers["cache-control"] == "no-cache"
    etag = {"If-None-Match": index.headers["etag"]}
    assert (await edge.http.get("/ui", headers=etag)).status_code == 304
    script = re.search(r'src="([^"]+)"', index.text)
    assert script is not None
    file = await edge.http.get(f"/{script[1]}")
    assert file.headers["cache-control"] == "public, max-age=31536000, immutable"
    version = page_files.page().version
    other = await edge.http.get(f"/{script[1]}".replace(version, "another-version"))
    assert (other.content, other.headers["cache-control"]) == (file.content, "no-store")


@pytest.mark.parametrize("name", ["nothing.js", "../page_files.py", "index.html", ""])
async def test_serves_nothing_else(edge: Edge, name: str) -> None:
    """404 as a problem."""
    answer = await edge.http.get(f"/ui/assets/{page_files.page().version}/{name}")
    assert code_of(answer) == (404, "not-found")


@pytest.mark.parametrize(
    ("accepted", "is_compressed"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("gzip;q=1.0", True),
        ("identity", False),
    ],
)
async def test_is_compressed_if_the_browser_can(
    edge: Edge, accepted: str, *, is_compressed: bool
) -> None:
    """The same content either way."""
    path = f"/ui/assets/{page_files.page().version}/page.css"
    async with edge.http.stream("GET", path, headers={"Accept-Encoding": accepted}) as answer:
        raw = b"".join([chunk async for chunk in answer.aiter_raw()])
    assert answer.headers["vary"] == "Accept-Encoding"
    assert ("content-encoding" in answer.headers) == is_compressed
    content = gzip.decompress(raw) if is_compressed else raw
    assert content == (FOLDER / "page.css").read_bytes()


async def test_can_be_turned_off(tmp_path: Path) -> None:
    """With its files and its session; the rest is as ever."""
    async with open_edge(tmp_path, http={"ui": False, "docs": True}) as edge:
        for method, path in (
            ("GET", "/ui"),
            ("GET", f"/ui/assets/{page_files.page().version}/app.js"),
            ("POST", "/ui/session"),
            ("POST", "/ui/session/refresh"),
        ):
            answer = await edge.http.request(method, path, headers=HEADER)
            assert code_of(answer) == (404, "not-found")
        paths = (await edge.http.get("/openapi.json")).json()["paths"]
    assert [path for path in paths if path.startswith("/ui")] == []
    assert "/ui/session" in openapi_document("1")["paths"]


async def test_a_script_cannot_read_the_session(edge: Edge) -> None:
    """The refresh token is in the cookie alone, which is for this host over TLS, and ends early."""
    answer = await signed_in(edge)
    assert set(answer.json()) == {"access_token", "token_type", "expires_in"}
    attributes = set(answer.headers["set-cookie"].split("; ")[1:])
    assert attributes == {"Path=/", "Secure", "HttpOnly", "SameSite=Strict"}
    assert COOKIE.startswith("__Host-")
    assert cookie_of(answer) not in answer.text


async def test_a_session_continues_with_the_next_cookie(edge: Edge) -> None:
    """Each refresh gives an access token and another cookie; without a cookie there is none."""
    first = cookie_of(await signed_in(edge))
    answer = await asked(edge, "POST", "/ui/session/refresh", first)
    assert cookie_of(answer) != first
    user = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert (await edge.http.get("/auth/me", headers=user)).status_code == 200
    none = await asked(edge, "POST", "/ui/session/refresh", None)
    assert (none.status_code, none.content, "set-cookie" in none.headers) == (204, b"", False)


@pytest.mark.parametrize("cookie", ["unknown", "x" * 100, "é"])
async def test_a_wrong_cookie_is_removed(edge: Edge, cookie: str) -> None:
    """With the answer that refuses it, so that the page does not ask with it again."""
    for method, path in (("POST", "/ui/session/refresh"), ("DELETE", "/ui/session")):
        headers = [(b"Healthingest-Page", b"1"), (b"Cookie", f"{COOKIE}={cookie}".encode())]
        answer = await edge.http.request(method, path, headers=headers)
        assert code_of(answer) == (401, "invalid-token")
        assert answer.headers["set-cookie"].startswith(f"{COOKIE}=; Max-Age=0; Path=/; Secure")


async def test_a_session_ends_with_its_cookie(edge: Edge) -> None:
    """Its access tokens and its refresh token are worth nothing, and the cookie is removed."""
    begun = await signed_in(edge)
    ended = await asked(edge, "DELETE", "/ui/session", cookie_of(begun))
    assert (ended.status_code, "Max-Age=0" in ended.headers["set-cookie"]) == (204, True)
    user = {"Authorization": f"Bearer {begun.json()['access_token']}"}
    assert code_of(await edge.http.get("/auth/me", headers=user)) == (401, "invalid-token")
    again = await asked(edge, "POST", "/ui/session/refresh", cookie_of(begun))
    assert code_of(again) == (401, "invalid-token")
    without = await asked(edge, "DELETE", "/ui/session", None)
    assert code_of(without) == (401, "unauthenticated")


async def test_a_session_of_the_page_is_short(tmp_path: Path) -> None:
    """It ends after `page_session_seconds` although it is refreshed; other logins do not."""
    async with open_edge(tmp_path, identity={"page_session_seconds": 300}) as edge:
        email = await edge.registered()
        tokens = (await edge.login(email)).json()
        cookie = cookie_of(await signed_in(edge, email))
        ends = await _ends_of_refresh_tokens(edge)
    assert tokens["refresh_token"] != cookie
    assert min(ends) <= 300 < max(ends)


async def _ends_of_refresh_tokens(edge: Edge) -> list[float]:
    async with transaction(edge.runtime.engine, timeout_seconds=5) as connection:
        found = await connection.scalars(select(RefreshTokenRow.__table__.c.expires_at))
        now = datetime.now(UTC)
        return [(at - now).total_seconds() for at in found]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Healthingest-Page": "2"},
        HEADER | {"Sec-Fetch-Site": "cross-site"},
        HEADER | {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_another_site_cannot_use_the_session(edge: Edge, headers: dict[str, str]) -> None:
    """Neither to sign in as somebody else, nor to continue or to end a session."""
    email = await edge.registered()
    cookie = cookie_of(await signed_in(edge, email))
    document = {"email": email, "password": PASSWORD}
    for method, path in (
        ("POST", "/ui/session"),
        ("POST", "/ui/session/code"),
        ("POST", "/ui/session/refresh"),
        ("DELETE", "/ui/session"),
    ):
        sent = headers | {"Cookie": f"{COOKIE}={cookie}"}
        answer = await edge.http.request(method, path, headers=sent, json=document)
        assert code_of(answer) == (403, "cross-site-request")
        assert "set-cookie" not in answer.headers
    assert (await asked(edge, "POST", "/ui/session/refresh", cookie)).status_code == 200


async def test_the_cookie_opens_no_other_route(edge: Edge) -> None:
    """Data needs an access token, which no browser sends by itself."""
    cookie = cookie_of(await signed_in(edge))
    for path in ("/v1/uploads", "/v1/studies", "/auth/me", "/v1/tokens"):
        assert code_of(await asked(edge, "GET", path, cookie)) == (401, "unauthenticated")


async def test_wrong_passwords_are_counted_as_those_of_other_logins(tmp_path: Path) -> None:
    """One limit for both ways to log in."""
    async with open_edge(tmp_path, limits={"logins": "2/hour"}) as edge:
        document = {"email": "ada@clinic.example", "password": PASSWORD}
        first = await edge.http.post("/ui/session", json=document, headers=HEADER)
        second = await edge.login("ada@clinic.example")
        third = await edge.http.post("/ui/session", json=document, headers=HEADER)
    assert [code_of(one) for one in (first, second, third)] == [
        (401, "invalid-credentials"),
        (401, "invalid-credentials"),
        (429, "rate-limited"),
    ]


def test_the_scripts_make_no_html() -> None:
    """They set texts only, run no text as a program, and keep no token where it stays."""
    assert len(SCRIPTS) > 10
    making = (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "Function(",
    )
    storing = ("localStorage", "indexedDB", "document.cookie")
    for script in SCRIPTS:
        text = script.read_text(encoding="utf-8")
        assert [name for name in (*making, *storing) if name in text] == [], script.name
    keeping = [one.name for one in SCRIPTS if "sessionStorage" in one.read_text(encoding="utf-8")]
    # Ids of uploads that have begun, and what proves the return of a sign-in.
    assert sorted(keeping) == ["kept.js", "provider.js"]
