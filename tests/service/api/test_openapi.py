from typing import Any

import pytest
from starlette.routing import Route

from support.edge import Edge

ROUTES = {
    ("POST", "/auth/register"),
    ("POST", "/auth/jwt/login"),
    ("POST", "/auth/jwt/logout"),
    ("POST", "/auth/jwt/refresh"),
    ("POST", "/v1/upload"),
    ("GET", "/v1/uploads"),
    ("GET", "/v1/uploads/{upload_id}"),
    ("GET", "/"),
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
    ("GET", "/health/startup"),
}


@pytest.fixture(name="document")
async def _document(edge: Edge) -> dict[str, Any]:
    document: dict[str, Any] = (await edge.http.get("/openapi.json")).json()
    return document


def test_describes_every_route_and_no_other(document: dict[str, Any]) -> None:
    """What the document names is what there is."""
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described == ROUTES


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    """Each `$ref` names a schema of the document."""
    found: list[str] = []

    def walk(node: object) -> None:
        if isinstance(node, dict):
            found.extend(value for name, value in node.items() if name == "$ref")
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(document)
    assert {one.removeprefix("#/components/schemas/") for one in found} <= set(document["components"]["schemas"])


def test_says_what_needs_a_token(document: dict[str, Any]) -> None:
    """Routes of uploads and logging out need one, the others do not."""
    secured = {path for path, methods in document["paths"].items() for one in methods.values() if "security" in one}
    assert secured == {"/auth/jwt/logout", "/v1/upload", "/v1/uploads", "/v1/uploads/{upload_id}"}


async def test_the_pages_are_there(edge: Edge) -> None:
    """`/docs` is a page, `/` says name and version."""
    assert (await edge.http.get("/docs")).headers["content-type"].startswith("text/html")
    assert (await edge.http.get("/")).json() == {"name": "healthingest", "version": edge.wire.version}
    assert any(isinstance(route, Route) and route.path == "/docs" for route in edge.app.routes)
