"""
Who may call which route, with ids of every class; the routes come from the OpenAPI document.

`docs/reference/permissions.md` has the result. `UPDATE_GOLDENS=1` writes it; review the diff.
"""

import os
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest

from healthingest_service.api.app import openapi_document
from healthingest_service.api.permissions import PERMISSIONS, Permission
from healthingest_service.identity.model import Scope
from healthingest_service.studies.model import Role
from support import samples
from support.edge import AVRO, Edge, open_edge
from support.study_people import LIMITS, NEW, SLEEP, SUBJECT, Person, code, person

PAGE: Final = Path(__file__).parents[3] / "docs" / "reference" / "permissions.md"
DEVICE_SCOPES: Final = frozenset({Scope.UPLOAD_WRITE, Scope.UPLOAD_READ})
ROLES: Final[dict[str, tuple[Role, ...]]] = {
    "uploader": (Role.UPLOADER,),
    "reader": (Role.READER,),
    "manager": (Role.MANAGER,),
}
CALLERS: Final = ("anonymous", "account", *ROLES, "administrator", "device")
REFUSALS: Final = frozenset(
    {
        "401 unauthenticated",
        "401 invalid-token",
        "403 missing-scope",
        "403 role-missing",
        "403 admin-required",
        "404 study-not-found",
        "404 upload-not-found",
        "404 session-not-found",
        "404 token-not-found",
    }
)
ALLOWED: Final = "allowed"
STUDIES: Final = {
    "own": "sleep",
    "other": "elsewhere",
    "random": "nosuch",
    "malformed": "Not%20one",
}
OWN_IDS: Final = {
    "upload_id": "404 upload-not-found",
    "session_id": "404 session-not-found",
    "token_id": "404 token-not-found",
}
"""The refusal of an id of a resource that belongs to somebody else."""


@dataclass(frozen=True)
class Operation:
    """An operation of the OpenAPI document."""

    id: str
    method: str
    path: str

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names in the path, without `study`."""
        names = (part.strip("{}") for part in self.path.split("/") if part.startswith("{"))
        return tuple(name for name in names if name != "study")

    @property
    def permission(self) -> Permission:
        """Its row in the table of permissions."""
        return PERMISSIONS[self.id]

    @property
    def is_in_study(self) -> bool:
        """Whether its path names a study."""
        return "{study}" in self.path


def _operations() -> Iterator[Operation]:
    for path, methods in openapi_document("0")["paths"].items():
        for method, described in methods.items():
            if method != "head":
                yield Operation(described["operationId"], method.upper(), path)


OPERATIONS: Final = tuple(_operations())


@dataclass
class World:
    """Two studies with data, and one caller of each kind."""

    edge: Edge
    people: dict[str, Person]
    device: dict[str, str]
    uploads: dict[str, str] = field(default_factory=dict)

    def headers(self, caller: str) -> dict[str, str]:
        """Return the headers of a caller."""
        if caller == "device":
            return self.device
        return {} if caller == "anonymous" else self.people[caller].headers

    async def asked(
        self, operation: Operation, caller: str, values: Mapping[str, str]
    ) -> httpx.Response:
        """
        Return the answer to a request with these values in the path.

        Where a document is expected it is refused, so that an admitted request changes nothing.
        """
        path = operation.path
        for name, value in values.items():
            path = path.replace(f"{{{name}}}", value)
        wrong = {"unknown": 1} if operation.method in {"POST", "PUT", "PATCH"} else None
        if operation.id == "closeOwnAccount":
            wrong = {"unknown": 1}
        return await self.edge.http.request(
            operation.method, path, headers=self.headers(caller), json=wrong
        )

    async def result(self, operation: Operation, caller: str, values: Mapping[str, str]) -> str:
        """Return the refusal, or `ALLOWED`."""
        answer = await self.asked(operation, caller, values)
        if operation.path.startswith("/health/"):  # no dependency was checked yet
            return ALLOWED
        assert answer.status_code < 500, answer.text
        if answer.status_code < 400:
            return ALLOWED
        found = code(answer)
        return found if found in REFUSALS else ALLOWED


@pytest.fixture(name="world")
async def _world(tmp_path: Path) -> AsyncIterator[World]:
    limits = LIMITS | {"logins": "100000/hour", "registrations": "100000/hour"}
    async with open_edge(tmp_path, limits=limits) as edge:
        manager = await person(edge, roles=("manager",))
        admin = await person(edge, is_admin=True)
        await admin.sends("POST", "/v1/studies", NEW | {"slug": "elsewhere"})
        everybody = {"roles": [role.value for role in Role]}
        await admin.sends("PUT", f"/v1/studies/elsewhere/members/{admin.id}", everybody)
        people = {name: await person(edge, roles=(name,)) for name in ROLES}
        people |= {
            "account": await person(edge),
            "administrator": await person(edge, is_admin=True),
        }
        await manager.sends("PUT", SUBJECT, {})
        world = World(edge, people, await _device(edge, manager))
        uploader = people["uploader"].headers
        for name, headers in {
            "same study": uploader | {"Healthingest-Study": "sleep", "Healthingest-Subject": "P-1"},
            "other": admin.headers
            | {"Healthingest-Study": "elsewhere", "Healthingest-Subject": "P-1"},
            "plain": uploader,
        }.items():
            answer = await edge.upload(samples.good_file(), headers)
            world.uploads[name] = answer.json()["upload_id"]
        yield world


async def _device(edge: Edge, manager: Person) -> dict[str, str]:
    wish = {"scopes": sorted(DEVICE_SCOPES)}
    made = (await manager.sends("POST", f"{SLEEP}/enrolments", wish)).json()
    answer = await edge.http.post("/v1/enrolments/redeem", json={"code": made["code"]})
    return {"Authorization": f"Bearer {answer.json()['token']}"}


def _wanted(operation: Operation, caller: str, study: str) -> str:
    """Return what the table says about a caller and a class of studies."""
    permission = operation.permission
    if not permission.needs_token:
        return ALLOWED
    if caller == "anonymous":
        return "401 unauthenticated"
    if caller == "device" and operation.id == "logOut":
        return "401 invalid-token"  # a device has no session
    if caller == "device" and permission.scope not in DEVICE_SCOPES:
        return "403 missing-scope"
    is_admin = caller == "administrator"
    if not operation.is_in_study:
        needs_admin = permission.admin and not permission.roles
        return "403 admin-required" if needs_admin and not is_admin else ALLOWED
    return _wanted_in_study(permission, ROLES.get(caller, ()), study, is_admin=is_admin)


def _wanted_in_study(
    permission: Permission, roles: tuple[Role, ...], study: str, *, is_admin: bool
) -> str:
    held = frozenset(roles) if study == "own" else frozenset()
    if study in {"random", "malformed"} or not (held or is_admin):
        return "404 study-not-found"
    is_allowed = bool(held & permission.roles) or (is_admin and permission.admin)
    return ALLOWED if is_allowed else "403 role-missing"


def _values(operation: Operation, study: str = "own") -> dict[str, str]:
    """Return values of the path; ids are random, so that nothing is changed."""
    values = {name: str(uuid4()) for name in operation.parameters}
    if "subject" in values:
        values["subject"] = "P-1"
    return values | {"study": STUDIES[study]}


async def test_each_caller_and_each_study(world: World) -> None:
    """Every operation answers as the table says, in the own, another, no and a malformed study."""
    wrong = {}
    for operation, caller in product(OPERATIONS, CALLERS):
        classes = STUDIES if operation.is_in_study else ("own",)
        for study in classes:
            found = await world.result(operation, caller, _values(operation, study))
            wanted = _wanted(operation, caller, study)
            # An admitted caller learns that a random id does not exist.
            if found != wanted and not (wanted == ALLOWED and found in OWN_IDS.values()):
                wrong[operation.id, caller, study] = (found, wanted)
        if operation.id == "logOut" and caller in world.people:
            world.people[caller] = await _again(world, caller)
    assert wrong == {}


async def _again(world: World, caller: str) -> Person:
    roles = tuple(role.value for role in ROLES.get(caller, ()))
    return await person(world.edge, is_admin=caller == "administrator", roles=roles)


async def test_foreign_ids_look_like_missing_ones(world: World) -> None:
    """An id of somebody else, a random and a malformed one get the same document."""
    foreign = await _foreign_ids(world)
    asked = [
        (operation, name)
        for operation in OPERATIONS
        for name in operation.parameters
        if name in OWN_IDS
    ]
    assert {name for _, name in asked} == set(OWN_IDS)
    for operation, name in asked:
        caller = "manager" if operation.is_in_study else "account"
        for value in (*foreign[name], str(uuid4()), "not-an-id", "0" * 300):
            values = _values(operation) | {name: value}
            answer = await world.asked(operation, caller, values)
            assert code(answer) == OWN_IDS[name], (operation.id, value)
            assert _without_request(answer) == _without_request(
                await world.asked(operation, caller, values | {name: str(uuid4())})
            )


async def _foreign_ids(world: World) -> dict[str, list[str]]:
    owner = world.people["uploader"]
    sessions = (await owner.sends("GET", "/auth/sessions")).json()["sessions"]
    token = (await owner.sends("POST", "/v1/tokens", {"name": "watch"})).json()
    return {
        "upload_id": list(world.uploads.values()),
        "session_id": [one["id"] for one in sessions],
        "token_id": [token["id"]],
    }


def _without_request(answer: httpx.Response) -> dict[str, Any]:
    document: dict[str, Any] = answer.json()
    return {
        name: value
        for name, value in document.items()
        if name not in {"correlation_id", "instance"}
    }


async def test_a_refused_caller_learns_nothing_from_ids(world: World) -> None:
    """A caller without the right gets the same answer for each subject, account and token."""
    known = {
        "subject": "P-1",
        "account": str(world.people["uploader"].id),
        "enrolment": str(uuid4()),
        "token_id": str(uuid4()),
    }
    for operation, caller in product(OPERATIONS, CALLERS):
        if not operation.is_in_study or _wanted(operation, caller, "own") == ALLOWED:
            continue
        for name in operation.parameters:
            answers = [
                await world.result(operation, caller, _values(operation) | {name: value})
                for value in (known[name], str(uuid4()), "not%20one")
            ]
            assert set(answers) == {_wanted(operation, caller, "own")}, (operation.id, caller)


async def test_uploads_of_a_study_have_readers(world: World) -> None:
    """An upload of the same study is open to its owner, readers and managers, and to no other."""
    for operation in OPERATIONS:
        if operation.parameters != ("upload_id",) or operation.method != "GET":
            continue
        found = {
            (caller, name): await world.result(operation, caller, {"upload_id": upload})
            for caller in CALLERS
            if caller != "anonymous"
            for name, upload in world.uploads.items()
        }
        readers = {(caller, "same study") for caller in ("uploader", "reader", "manager")}
        readers |= {("uploader", "plain")}
        allowed = {place for place, one in found.items() if one == ALLOWED}
        assert allowed == readers, operation.id


def test_the_page_has_the_matrix() -> None:
    """In the study of the members; `test_each_caller_and_each_study` compares it with the API."""
    lines = []
    for operation in sorted(OPERATIONS, key=lambda one: (one.path, one.method)):
        found = []
        for caller in CALLERS:
            one = _wanted(operation, caller, "own")
            found.append("yes" if one == ALLOWED else one.partition(" ")[0])
        lines.append(f"| `{operation.method} {operation.path}` | {' | '.join(found)} |")
    page = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    begin = page.partition("\n| ")[0].rstrip("\n") + "\n"
    head = f"| route | {' | '.join(CALLERS)} |\n|{' --- |' * (len(CALLERS) + 1)}"
    expected = f"{begin}\n{head}\n" + "\n".join(lines) + "\n"
    if os.environ.get("UPDATE_GOLDENS"):
        PAGE.write_text(expected, encoding="utf-8")
    assert page == expected or os.environ.get("UPDATE_GOLDENS")


async def test_an_upload_needs_the_role(world: World) -> None:
    """The study of an upload is in its headers: only uploaders and bound devices may name it."""
    found = {}
    for caller in CALLERS:
        for study in ("sleep", "elsewhere", "nosuch"):
            about = {"Healthingest-Study": study, "Healthingest-Subject": "P-1"}
            headers = AVRO | world.headers(caller) | about
            answer = await world.edge.http.post("/v1/upload", content=b"", headers=headers)
            found[caller, study] = code(answer)
    not_avro = {place for place, one in found.items() if one == "415 not-avro"}
    assert not_avro == {("uploader", "sleep"), ("device", "sleep")}
    assert {found["anonymous", study] for study in ("sleep", "nosuch")} == {"401 unauthenticated"}
    for caller in ("account", "reader", "administrator"):
        assert found[caller, "nosuch"] == "404 study-not-found"
    assert {found["account", "sleep"], found["account", "elsewhere"]} == {"404 study-not-found"}
