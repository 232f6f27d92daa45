"""
Whatever a client sends as a parameter, no answer is a 5xx, and both databases agree.

Each example is one request with arbitrary Unicode, dates or integers in every parameter of a route.
"""

import asyncio
import base64
import json
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from healthingest_service.api.app import openapi_document
from support.edge import Edge, open_edge
from support.samples import good_file

UNLIMITED = dict.fromkeys(
    (
        *("uploads", "requests", "logins", "refreshes", "registrations"),
        *("mails_per_address", "mails_per_account"),
    ),
    "1000000/second",
)
FREE = {f"login_failures_per_{what}": 10**9 for what in ("device", "account", "address")}
EXAMPLES = settings(
    max_examples=int(os.environ.get("INPUT_EXAMPLES", "50")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@dataclass(frozen=True)
class Call:
    """One request; `headers` are added to those of a signed-in account."""

    method: str
    url: str
    headers: dict[str, bytes] = field(default_factory=dict)
    content: bytes = b""


def url(path: str, **query: Any) -> str:  # noqa: ANN401 - shown as text
    """Return the address; characters without UTF-8 form are sent as bytes."""
    given = {
        name: str(value).encode(errors="surrogatepass")
        for name, value in query.items()
        if value is not None
    }
    return f"{path}?{urlencode(given)}" if given else path


TEXT = st.text(st.characters(), max_size=40) | st.sampled_from(
    ["\0", "a\0b", "\ud800", "\u202e", "é", "%00", "' OR 1"]
)
NUMBERS = st.integers() | st.integers(-(2**70), 2**70)
MOMENTS = st.datetimes(
    timezones=st.sampled_from([None, *(timezone(timedelta(hours=n)) for n in (-14, 0, 14))])
)
EXTREMES = [
    datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
    datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(timedelta(hours=-14))),
]
"""Not a time in UTC: the years 0 and 10000."""
CURSORS = TEXT | st.builds(
    lambda at, identity: base64.urlsafe_b64encode(
        f"{at.isoformat()}|{identity}".encode(errors="replace")
    ).decode(),
    MOMENTS | st.sampled_from(EXTREMES),
    st.uuids() | TEXT,
)
HEADER = st.binary(max_size=40).map(lambda value: bytes(b for b in value if b >= 32 and b != 127))
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=3,
)
PLAIN = {"Content-Type": b"application/json"}
OF_PAGE = {"Healthingest-Page": b"1"}


def document(**fields: Any) -> bytes:  # noqa: ANN401 - any JSON
    """Return a JSON document; what JSON cannot express (a lone surrogate) is escaped."""
    return json.dumps({name: value for name, value in fields.items() if value is not None}).encode()


def mostly(good: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Generate a valid value, text, or any JSON; otherwise one wrong field would hide others."""
    return good | TEXT | JSON


CALLS: dict[str, st.SearchStrategy[Call]] = {
    "POST /auth/register": st.builds(
        lambda email, password, first, last: Call(
            "POST",
            "/auth/register",
            PLAIN,
            document(email=email, password=password, first_name=first, last_name=last),
        ),
        mostly(TEXT.map(lambda text: f"{text}@clinic.example")),
        mostly(st.just("short")),
        mostly(st.just("Ada")),
        mostly(st.just("Example")),
    ),
    "POST /auth/jwt/login": st.builds(
        lambda name, password: Call(
            "POST",
            "/auth/jwt/login",
            {"Content-Type": b"application/x-www-form-urlencoded"},
            url("", username=name, password=password)[1:].encode(),
        ),
        TEXT | TEXT.map(lambda text: f"{text}@clinic.example"),
        TEXT,
    ),
    "POST /auth/jwt/refresh": st.builds(
        lambda token: Call("POST", "/auth/jwt/refresh", PLAIN, document(refresh_token=token)),
        mostly(st.just("x" * 43)),
    ),
    "POST /auth/oidc/login": st.builds(
        lambda issuer, code, verifier, uri, nonce, iss: Call(
            "POST",
            "/auth/oidc/login",
            PLAIN,
            document(
                issuer=issuer,
                code=code,
                code_verifier=verifier,
                redirect_uri=uri,
                nonce=nonce,
                iss=iss,
            ),
        ),
        mostly(st.just("https://login.example")),
        mostly(st.just("code")),
        mostly(st.just("v" * 43)),
        mostly(st.just("https://app.example")),
        mostly(st.just("n" * 22)),
        mostly(st.none()),
    ),
    "POST /auth/jwt/logout": st.builds(
        lambda token: Call("POST", "/auth/jwt/logout", {"Authorization": b"Bearer " + token}),
        HEADER,
    ),
    "POST /ui/session": st.builds(
        lambda name, password: Call(
            "POST", "/ui/session", PLAIN | OF_PAGE, document(email=name, password=password)
        ),
        mostly(TEXT.map(lambda text: f"{text}@clinic.example")),
        mostly(st.just("short")),
    ),
    "POST /ui/session/code": st.builds(
        lambda issuer, code: Call(
            "POST",
            "/ui/session/code",
            PLAIN | OF_PAGE,
            document(
                issuer=issuer,
                code=code,
                code_verifier="v" * 43,
                redirect_uri="https://app.example",
                nonce="n" * 22,
            ),
        ),
        mostly(st.just("https://login.example")),
        mostly(st.just("code")),
    ),
    **{
        route: st.builds(
            lambda method, path, page, site, cookie: Call(
                method,
                path,
                {
                    "Healthingest-Page": page,
                    "Sec-Fetch-Site": site,
                    "Cookie": b"__Host-healthingest=" + cookie,
                },
            ),
            st.just(route.partition(" ")[0]),
            st.just(route.partition(" ")[2]),
            st.just(b"1") | HEADER,
            st.just(b"same-origin") | HEADER,
            st.just(b"x" * 43) | HEADER,
        )
        for route in ("POST /ui/session/refresh", "DELETE /ui/session")
    },
    # one strange parameter at a time: else one hides what another does
    "GET /v1/uploads": st.one_of(
        st.builds(
            lambda name, value: Call("GET", url("/v1/uploads", **{name: value})),
            st.just("cursor"),
            CURSORS,
        ),
        st.builds(
            lambda name, value: Call("GET", url("/v1/uploads", **{name: value})),
            st.sampled_from(["limit", "record_type", "state", "cursor", "other"]),
            NUMBERS | TEXT | MOMENTS,
        ),
    ),
    "GET /v1/uploads/{upload_id}": st.builds(
        lambda text: Call(
            "GET", f"/v1/uploads/{quote(str(text).encode(errors='surrogatepass'), safe='')}"
        ),
        TEXT | NUMBERS | st.uuids(),
    ),
    "POST /v1/upload": st.builds(
        lambda key, digest, kind, correlation, trace, forwarded: Call(
            "POST",
            "/v1/upload",
            {
                name: value
                for name, value in {
                    "Idempotency-Key": key,
                    "Content-Digest": digest,
                    "Content-Type": kind,
                    "X-Correlation-ID": correlation,
                    "traceparent": trace,
                    "X-Forwarded-For": forwarded,
                }.items()
                if value is not None
            },
            good_file(1),
        ),
        st.none() | HEADER,
        st.none() | HEADER,
        st.just(b"application/avro") | HEADER,
        st.none() | HEADER,
        st.none() | HEADER,
        st.none() | HEADER,
    ),
}


def _headers(**values: bytes | None) -> dict[str, bytes]:
    return {name.replace("_", "-"): value for name, value in values.items() if value is not None}


def _with_headers(
    method: str, path: str, **fields: st.SearchStrategy[bytes | None]
) -> st.SearchStrategy[Call]:
    """Generate requests with these headers, and any text as the id in the path."""
    return st.builds(
        lambda text, values: Call(
            method,
            path.replace("{}", quote(str(text).encode(errors="surrogatepass"), safe="")),
            _headers(**values),
            b"x",
        ),
        TEXT | st.uuids(),
        st.fixed_dictionaries(fields),
    )


SIZE = st.integers(0, 2**70).map(lambda number: str(number).encode()) | HEADER
TUS = st.just(b"1.0.0") | HEADER
CHECKSUM = st.none() | st.just(b"sha1 2jmj7l5rSw0yVb/vlWAYkK/YBwk=") | HEADER
NEXT_BYTES = st.just(b"application/offset+octet-stream") | HEADER
CALLS |= {
    "POST /v1/files": _with_headers(
        "POST",
        "/v1/files",
        Tus_Resumable=TUS,
        Upload_Length=SIZE,
        Upload_Metadata=st.none() | st.just(b"study c2xlZXA=,subject UC0wMDAx") | HEADER,
        Upload_Checksum=CHECKSUM,
        Content_Type=st.none() | NEXT_BYTES,
    ),
    "GET /v1/files/{file_id}": _with_headers("GET", "/v1/files/{}"),
    "PATCH /v1/files/{file_id}": _with_headers(
        "PATCH",
        "/v1/files/{}",
        Tus_Resumable=TUS,
        Upload_Offset=SIZE,
        Upload_Checksum=CHECKSUM,
        Content_Type=NEXT_BYTES,
    ),
    "DELETE /v1/files/{file_id}": _with_headers("DELETE", "/v1/files/{}", Tus_Resumable=TUS),
    "PATCH /v1/upload/{resumable_id}": _with_headers(
        "PATCH",
        "/v1/upload/{}",
        Upload_Offset=SIZE,
        Upload_Length=st.none() | SIZE,
        Upload_Complete=st.just(b"?1") | HEADER,
        Content_Digest=st.none() | HEADER,
        Content_Type=st.just(b"application/partial-upload") | HEADER,
    ),
    "DELETE /v1/upload/{resumable_id}": _with_headers("DELETE", "/v1/upload/{}"),
}
STUDY = "/v1/studies/{study}"
SUBJECT = f"{STUDY}/subjects/{{subject}}"
STUDY_ROUTES: dict[str, tuple[str, ...]] = {
    "GET /v1/studies": ("limit", "cursor"),
    "POST /v1/studies": ("slug", "name", "policy"),
    f"GET {STUDY}": (),
    f"PATCH {STUDY}": ("name", "state", "policy"),
    f"GET {STUDY}/members": ("limit", "cursor"),
    f"PUT {STUDY}/members/{{account}}": ("roles",),
    f"DELETE {STUDY}/members/{{account}}": (),
    f"GET {STUDY}/subjects": ("limit", "cursor"),
    f"GET {SUBJECT}": (),
    f"PUT {SUBJECT}": ("consent",),
    f"PUT {SUBJECT}/consent": ("version", "given_at"),
    f"PUT {SUBJECT}/withdrawal": (),
    f"POST {STUDY}/enrolments": ("subject", "scopes", "valid_minutes", "token_expires_in_days"),
    f"DELETE {STUDY}/enrolments/{{enrolment}}": (),
    f"GET {STUDY}/tokens": ("limit", "cursor", "subject"),
    f"DELETE {STUDY}/tokens/{{token_id}}": (),
    f"POST {SUBJECT}/erasure": (),
    f"POST {STUDY}/erasure": (),
    f"GET {STUDY}/uploads": ("cursor", "subject", "record_type", "day"),
    f"GET {STUDY}/audit": ("limit", "cursor", "subject_hash"),
    f"GET {SUBJECT}/disclosures": ("limit", "cursor"),
    f"GET {STUDY}/coverage": ("first_day", "last_day", "after_day", "after_subject", "format"),
    f"GET {STUDY}/gaps": ("first_day", "last_day", "after_day", "after_subject", "format"),
}
ACCOUNT_ROUTES: dict[str, tuple[str, ...]] = {
    "GET /auth/me": (),
    "PATCH /auth/me": ("first_name", "last_name"),
    "DELETE /auth/me": ("password",),
    "POST /auth/change-password": ("current_password", "new_password"),
    "POST /auth/forgot-password": ("email",),
    "POST /auth/reset-password": ("token", "password"),
    "POST /auth/request-verify-token": ("email",),
    "POST /auth/verify": ("token",),
    "GET /auth/sessions": (),
    "DELETE /auth/sessions": (),
    "DELETE /auth/sessions/{session_id}": (),
    "POST /v1/tokens": ("name", "scopes", "expires_in_days", "study", "subject"),
    "POST /v1/enrolments/redeem": ("code", "name"),
    "GET /v1/tokens": (),
    "DELETE /v1/tokens/{token_id}": (),
    "GET /v1/uploads/{upload_id}/content": (),
    "POST /v1/uploads/{upload_id}/outcome": ("consumer", "state", "reason"),
    "DELETE /v1/uploads/{upload_id}": (),
    "GET /v1/erasures/{erasure_id}": (),
}
ROUTES = STUDY_ROUTES | ACCOUNT_ROUTES
"""The parameters of each of these routes: of the query, else of the document."""


def _calls_of(route: str) -> st.SearchStrategy[Call]:
    method, _, path = route.partition(" ")

    def call(slug: object, other: object, values: dict[str, Any]) -> Call:
        def part(name: re.Match[str]) -> str:
            value = slug if name[1] == "study" else other
            return quote(str(value).encode(errors="surrogatepass"), safe="")

        place = re.sub(r"\{(\w+)\}", part, path)
        if method == "GET":
            return Call(method, url(place, **values))
        return Call(method, place, PLAIN, document(**values))

    values = st.fixed_dictionaries(
        {}, optional=dict.fromkeys(ROUTES[route], JSON | MOMENTS.map(str))
    )
    return st.builds(call, st.just("default") | TEXT, TEXT | st.uuids(), values)


CALLS |= {route: _calls_of(route) for route in ROUTES}
WITHOUT_PARAMETERS = {
    *("GET /", "GET /auth/oidc", "OPTIONS /v1/upload", "OPTIONS /v1/files"),
    *("GET /health/live", "GET /health/ready", "GET /health/startup"),
}


@dataclass
class Pair:
    """The same API on both databases, on its own event loop."""

    runner: asyncio.Runner
    edges: list[Edge]
    users: list[dict[str, str]]

    def answers(self, call: Call) -> list[tuple[int, str]]:
        """Return the status and the problem of each after the same request."""

        async def both() -> list[tuple[int, str]]:
            return [
                await _answer(edge, user, call)
                for edge, user in zip(self.edges, self.users, strict=True)
            ]

        return self.runner.run(both())


async def _answer(edge: Edge, user: dict[str, str], call: Call) -> tuple[int, str]:
    headers = {name.lower().encode(): value.encode() for name, value in user.items()}
    headers |= {name.lower().encode(): value for name, value in call.headers.items()}
    answer = await edge.http.request(call.method, call.url, headers=headers, content=call.content)
    if answer.headers.get("content-type") != "application/problem+json":
        return answer.status_code, ""
    problem = answer.json()
    return answer.status_code, json.dumps([problem["type"], problem.get("errors")])


@asynccontextmanager
async def _edges(folder: Path, postgres_url: str) -> AsyncIterator[list[Edge]]:
    limits = UNLIMITED | FREE
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(open_edge(folder / "sqlite", limits=limits)),
            await stack.enter_async_context(
                open_edge(folder / "postgresql", limits=limits, database={"url": postgres_url})
            ),
        ]


@pytest.fixture(name="pair")
def _pair(tmp_path: Path, postgres_url: str) -> Iterator[Pair]:
    with asyncio.Runner() as runner:
        opening = _edges(tmp_path, postgres_url)
        edges = runner.run(opening.__aenter__())
        users = runner.run(_together([edge.signed_in for edge in edges]))
        yield Pair(runner, edges, users)
        runner.run(opening.__aexit__(None, None, None))


async def _together(calls: list[Callable[[], Awaitable[dict[str, str]]]]) -> list[dict[str, str]]:
    return [await call() for call in calls]


def test_every_route_is_asked() -> None:
    """Each route and method has an entry here."""
    paths = openapi_document("0")["paths"]
    routes = {
        f"{method.upper()} {path}"
        for path, methods in paths.items()
        for method in methods
        if method != "head"
    }
    assert routes <= set(CALLS) | WITHOUT_PARAMETERS
    assert set(CALLS) <= routes


@pytest.mark.parametrize("route", sorted(CALLS))
def test_no_input_is_an_outage(pair: Pair, route: str) -> None:
    """The status is below 500, and the same on SQLite and PostgreSQL, with the same errors."""

    @EXAMPLES
    @given(CALLS[route])
    def ask(call: Call) -> None:
        sqlite, postgresql = pair.answers(call)
        assert sqlite[0] < 500
        assert sqlite == postgresql

    ask()
