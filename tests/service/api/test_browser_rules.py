"""What a browser may do with the answers of the API."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from healthingest_service.api import mail_link_pages
from healthingest_service.api.app import all_routes
from healthingest_service.api.audit_rules import AUDIT_RULES
from support.edge import PASSWORD, Edge, open_edge

OTHER_SITE = {"Origin": "https://evil.example"}


@pytest.fixture(name="edge")
async def _edge(tmp_path: Path) -> AsyncIterator[Edge]:
    async with open_edge(tmp_path) as opened:
        yield opened


async def test_another_site_gets_nothing(edge: Edge) -> None:
    """No answer sets a cookie, or lets the script of another site read it or send a token."""
    email = await edge.registered()
    form = {"username": email, "password": PASSWORD}
    asked = {"Access-Control-Request-Method": "DELETE"} | OTHER_SITE
    answers = [
        await edge.http.post("/auth/jwt/login", data=form, headers=OTHER_SITE),
        await edge.http.get("/v1/uploads", headers=await edge.signed_in() | OTHER_SITE),
        await edge.http.get("/auth/verify", headers=OTHER_SITE),
        await edge.http.get("/", headers=OTHER_SITE),
        await edge.http.options("/v1/uploads", headers=asked),
    ]
    assert [one.status_code for one in answers] == [200, 200, 200, 200, 405]
    for answer in answers:
        names = set(answer.headers)
        assert "set-cookie" not in names
        assert not [name for name in names if name.startswith("access-control-")]


async def test_no_answer_is_taken_for_another_type(edge: Edge) -> None:
    """Pages, their files, documents and problems."""
    for path in ("/auth/verify", "/auth/mail-links/page.js", "/", "/v1/uploads", "/unknown"):
        answer = await edge.http.get(path)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-type"]


async def test_no_answer_is_cached_or_framed(edge: Edge) -> None:
    """Documents, problems and lists; pages have rules of their own."""
    for path, headers in (("/", {}), ("/v1/uploads", await edge.signed_in()), ("/unknown", {})):
        answer = await edge.http.get(path, headers=headers)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-security-policy"] == (
            "default-src 'none'; frame-ancestors 'none'"
        )
    page = await edge.http.get("/auth/verify")
    assert page.headers["cache-control"] == "no-cache"
    assert "script-src 'self'" in page.headers["content-security-policy"]


async def test_trace_is_refused(edge: Edge) -> None:
    """On each path; nothing of the request comes back."""
    for path in ("/", "/v1/uploads", "/auth/verify"):
        answer = await edge.http.request("TRACE", path, headers={"X-Secret": "hunter2"})
        assert answer.status_code == 405
        assert "hunter2" not in answer.text


def test_a_get_changes_nothing() -> None:
    """Each operation by GET reads, or needs no right."""
    reading = [str(route.operation_id) for route in all_routes() if "GET" in (route.methods or ())]
    actions = [AUDIT_RULES[one].action for one in reading]
    assert len(actions) > 20
    assert [one for one in actions if one and not one.endswith(("-read", "download"))] == []


def test_the_script_of_a_page_makes_no_html() -> None:
    """It sets texts only, runs no text as a program, and stores nothing."""
    script = Path(mail_link_pages.__file__).with_name("mail_links") / "page.js"
    text = script.read_text(encoding="utf-8")
    assert "textContent" in text
    making = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(")
    storing = ("localStorage", "sessionStorage", "indexedDB", "document.cookie")
    for name in (*making, *storing):
        assert name not in text


def test_a_password_is_masked_and_may_come_from_a_manager() -> None:
    """The field has the type for it, and no script hinders to paste."""
    folder = Path(mail_link_pages.__file__).with_name("mail_links")
    page = (folder / "page.html").read_text(encoding="utf-8")
    (field,) = (line for line in page.splitlines() if 'id="password"' in line)
    assert 'type="password"' in field
    assert 'autocomplete="new-password"' in field
    assert "paste" not in page + (folder / "page.js").read_text(encoding="utf-8")
