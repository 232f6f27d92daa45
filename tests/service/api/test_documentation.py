import re
from pathlib import Path
from xml.etree import ElementTree  # noqa: ICN001 - one name is enough

import pytest

from healthingest_contract.message_schemas import asyncapi_document
from healthingest_service.api.message_page import message_page
from healthingest_service.main.api import documentation
from healthingest_service.settings import InvalidSettingsError, Settings
from healthingest_service.settings.groups import HttpSettings
from support.edge import Edge, open_edge

ELSEWHERE = re.compile(rb"""(?:src|href|action)\s*=\s*["']?\s*(?:[a-z]+:)?//""", re.IGNORECASE)


@pytest.mark.parametrize(
    ("is_installation", "docs", "openapi", "shown"),
    [
        (False, None, None, (True, True)),
        (False, None, False, (False, False)),
        (False, False, None, (False, False)),
        (False, False, True, (False, True)),
        (True, None, None, (False, False)),
        (True, None, True, (False, True)),
        (True, True, None, (True, True)),
        (True, False, None, (False, False)),
    ],
)
def test_is_off_in_an_installation_unless_asked_for(
    tmp_path: Path,
    shown: tuple[bool, bool],
    *,
    is_installation: bool,
    docs: bool | None,
    openapi: bool | None,
) -> None:
    """Each by its setting; the page brings its document along."""
    settings = Settings(
        secrets_dir=tmp_path if is_installation else None,
        http=HttpSettings(docs=docs, openapi=openapi),
    )
    made = documentation(settings)
    assert (made.docs, made.openapi) == shown


def test_a_page_without_its_document_is_refused() -> None:
    """With the variable's name."""
    with pytest.raises(InvalidSettingsError, match="HEALTHINGEST_HTTP__DOCS"):
        documentation(Settings(http=HttpSettings(docs=True, openapi=False)))


async def test_what_is_off_is_not_there(tmp_path: Path) -> None:
    """404 as a problem, the page's files included; the rest is as ever."""
    async with open_edge(tmp_path, http={"docs": False}) as edge:
        for path in (
            "/docs",
            "/docs/swagger-ui-bundle.js",
            "/docs/messages",
            "/openapi.json",
            "/asyncapi.json",
            "/redoc",
            "/docs/oauth2-redirect",
        ):
            answer = await edge.http.get(path)
            assert (answer.status_code, answer.headers["content-type"]) == (
                404,
                "application/problem+json",
            )
        assert (await edge.http.get("/")).status_code == 200


async def test_the_page_names_no_other_host(edge: Edge) -> None:
    """Its files are ours, they are there, and the policy lets nothing else in."""
    page = await edge.http.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert not ELSEWHERE.search(page.content)
    named = re.findall(r'(?:src|href)="(?!data:)([^"]+)"', page.text)
    assert len(named) == 4
    for name in (*named, "docs/LICENSE", "docs/NOTICE", "docs/messages.css"):
        file = await edge.http.get(f"/{name}")
        assert (file.status_code, len(file.content) > 10) == (200, True), name
        assert file.headers["content-security-policy"] == page.headers["content-security-policy"]
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert not re.search(r"https?:|\*|unsafe", policy)


async def test_a_head_and_its_get_agree(edge: Edge) -> None:
    """`HEAD` where `GET` is, and not where it is not; `Allow` names both."""
    for path in (
        "/",
        "/health/live",
        "/health/ready",
        "/v1/uploads",
        "/v1/uploads/x",
        "/docs",
        "/openapi.json",
        "/x",
    ):
        got = await edge.http.get(path)
        head = await edge.http.head(path)
        assert head.status_code == got.status_code, path
    refused = [await edge.http.head("/v1/upload"), await edge.http.delete("/v1/uploads")]
    assert [answer.status_code for answer in refused] == [405, 405]
    assert set(refused[1].headers["allow"].split(", ")) == {"GET", "HEAD"}


async def test_nothing_is_redirected(edge: Edge) -> None:
    """
    A trailing slash, or one missing, is another path.

    No answer has a Location made of `Host`.
    """
    for method, path in (
        ("POST", "/v1/upload/"),
        ("GET", "/v1/uploads/"),
        ("GET", "/health"),
        ("POST", "/auth/register/"),
    ):
        answer = await edge.http.request(method, path, headers={"Host": "evil.example"})
        assert answer.status_code == 404, path
        assert "location" not in answer.headers
        assert answer.json()["type"].endswith("/not-found") or answer.json()["type"].endswith(
            "/unauthenticated"
        )


async def test_the_messages_are_described_beside_the_routes(edge: Edge) -> None:
    """With the version of the service."""
    document = (await edge.http.get("/asyncapi.json")).json()
    assert (document["asyncapi"], document["info"]["version"]) == ("3.0.0", edge.deps.version)
    assert set(document["channels"]) == {"upload-stored", "upload-erased"}


async def test_the_messages_have_a_page(edge: Edge) -> None:
    """It has each field and header, no script and no other host, and is well-formed."""
    page = (await edge.http.get("/docs/messages")).text
    assert not ELSEWHERE.search(page.encode())
    assert "<script" not in page
    assert re.findall(r'(?:src|href)="(?!data:)([^"]+)"', page) == [
        "messages.css",
        "../asyncapi.json",
        "../docs",
    ]
    document = (await edge.http.get("/asyncapi.json")).json()
    for title, message in document["components"]["messages"].items():
        assert f"<h2>{title}</h2>" in page
        schema = document["components"]["schemas"][title]
        for name in (*schema["properties"], *message["headers"]["properties"]):
            assert f"<code>{name}</code>" in page
    without_void = re.sub(r"<!doctype html>|<(meta|link)[^>]*>", "", page)
    checked = ElementTree.fromstring(without_void)  # noqa: S314 - our own page
    assert len(checked.findall(".//section")) == len(document["channels"])


def test_text_of_the_document_is_escaped() -> None:
    """Whatever a later version describes."""
    document = asyncapi_document("<b>1</b>")
    document["channels"]["upload-stored"]["description"] = "<i>x</i> `<y>`"
    page = message_page(document)
    assert "&lt;b&gt;1" in page
    assert "&lt;i&gt;x&lt;/i&gt; <code>&lt;y&gt;</code>" in page
