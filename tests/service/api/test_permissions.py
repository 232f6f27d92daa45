"""Each route declares who may call it, and the declaration is enforced."""

import re
from collections.abc import Iterator

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from healthingest_service.api.app import all_routes
from healthingest_service.api.dependencies import GUARDS, administrator, in_study
from healthingest_service.api.permissions import PERMISSIONS, PUBLIC, PUBLIC_PATHS, TOKEN
from support.edge import Edge

ROUTES = {str(route.operation_id): route for route in all_routes()}
GUARDED = sorted(name for name in ROUTES if PERMISSIONS.get(name) not in {PUBLIC, TOKEN, None})


def _calls(dependant: Dependant) -> Iterator[object]:
    yield dependant.call
    for inner in dependant.dependencies:
        yield from _calls(inner)


def _guards(route: APIRoute) -> list[object]:
    return [call for call in _calls(route.dependant) if call in GUARDS]


def test_each_route_declares_a_permission() -> None:
    """The table has exactly the operations of the application."""
    assert set(ROUTES) == set(PERMISSIONS)


def test_other_paths_of_the_application_are_public_pages(edge: Edge) -> None:
    """Whatever is no operation is the OpenAPI document or a file of its page."""
    operations = {route.path for route in ROUTES.values()}
    others = {getattr(route, "path", "") for route in edge.app.routes} - operations - {""}
    assert others
    assert [one for one in others if not one.startswith(PUBLIC_PATHS)] == []


@pytest.mark.parametrize("name", GUARDED)
def test_a_declared_permission_is_checked(name: str) -> None:
    """The route has one guard: that of studies if roles are declared, that of administrators."""
    permission = PERMISSIONS[name]
    (guard,) = _guards(ROUTES[name])
    assert permission.scope is not None
    assert (guard is in_study) == bool(permission.roles)
    assert (guard is administrator) == (permission.admin and not permission.roles)


@pytest.mark.parametrize("name", sorted(name for name in ROUTES if name not in GUARDED))
def test_a_public_route_has_no_guard(name: str) -> None:
    """What is declared is what happens."""
    assert _guards(ROUTES[name]) == []


@pytest.mark.parametrize("name", sorted(set(ROUTES)))
async def test_without_a_token(edge: Edge, name: str) -> None:
    """Only public routes answer otherwise than with 401."""
    route = ROUTES[name]
    path = re.sub(r"\{\w+\}", "default", route.path)
    methods = route.methods or set()
    method = min(methods - {"HEAD"} or methods)
    answer = await edge.http.request(method, path)
    assert (answer.status_code == 401) == PERMISSIONS[name].needs_token
