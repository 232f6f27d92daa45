"""The routes of studies, members and subjects."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from support.edge import Edge, open_edge
from support.study_people import LIMITS, NEW, SLEEP, SUBJECT, code, person

LOCK = {"object_lock_mode": "Governance", "object_lock_days": 30}
GIVEN = {"version": "v1", "given_at": "2026-03-01T12:00:00Z"}


@pytest.fixture(name="edge")
async def _edge(tmp_path: Path) -> AsyncIterator[Edge]:
    async with open_edge(tmp_path, limits=LIMITS) as opened:
        yield opened


async def test_an_administrator_creates_a_study(edge: Edge) -> None:
    """Twice gives the same study; another policy is a conflict, another account is refused."""
    admin = await person(edge, is_admin=True)
    answers = [await admin.sends("POST", "/v1/studies", NEW) for _ in range(2)]
    assert [one.status_code for one in answers] == [201, 200]
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["policy"]["enrolment"] == "Open"
    other = NEW | {"policy": {"consent_required": True}}
    assert code(await admin.sends("POST", "/v1/studies", other)) == "409 study-exists"
    assert code(await (await person(edge)).sends("POST", "/v1/studies", NEW)) == (
        "403 admin-required"
    )


@pytest.mark.parametrize(
    "document",
    [
        NEW | {"slug": "Sleep"},
        NEW | {"slug": "s" * 41},
        NEW | {"name": ""},
        NEW | {"name": "a\u202e"},
        NEW | {"owner": "x"},
        NEW | {"policy": {"retention_days": 0}},
        NEW | {"policy": {"record_types": []}},
        NEW | {"policy": {"record_types": ["not a name"]}},
        NEW | {"policy": {"record_types": [f"T{n}" for n in range(101)]}},
        NEW | {"policy": {"uploads_rate": "often"}},
        NEW | {"policy": {"max_file_bytes": 0}},
        NEW | {"policy": {"bytes_per_day": 0}},
        NEW | {"policy": {"bytes_per_day": 2**53}},
        NEW | {"policy": {"erasure_hold_seconds": -1}},
        NEW | {"policy": {"enrolment": "Maybe"}},
    ],
)
async def test_a_study_has_bounds(edge: Edge, document: dict[str, Any]) -> None:
    """Each value out of its range is refused, and the answer does not repeat it."""
    admin = await person(edge, is_admin=True)
    answer = await admin.sends("POST", "/v1/studies", document)
    assert code(answer) == "422 invalid-request"


async def test_a_manager_changes_the_study(edge: Edge) -> None:
    """Absent fields stay, null removes a rule, repeating changes nothing."""
    manager = await person(edge, roles=("manager",))
    for _ in range(2):
        answer = await manager.sends(
            "PATCH", SLEEP, {"policy": {"retention_days": 30, "record_types": ["SleepRecord"]}}
        )
        assert answer.status_code == 200, answer.text
    answer = await manager.sends(
        "PATCH", SLEEP, {"state": "closed", "policy": {"retention_days": None}}
    )
    study = (await manager.sends("GET", SLEEP)).json()
    assert answer.json() == study
    assert (study["name"], study["state"], study["roles"]) == ("Sleep", "closed", ["manager"])
    policy = study["policy"]
    assert (policy["retention_days"], policy["record_types"]) == (None, ["SleepRecord"])


async def test_a_retention_below_the_object_lock_is_refused(tmp_path: Path) -> None:
    """At creation and at a change; the answer names field and days. Other changes are accepted."""
    async with open_edge(tmp_path, limits=LIMITS, store=LOCK) as edge:
        admin = await person(edge, is_admin=True)
        short, enough = ({"policy": {"retention_days": days}} for days in (29, 30))
        answers = [await admin.sends("POST", "/v1/studies", NEW | short)]
        assert (await admin.sends("POST", "/v1/studies", NEW | enough)).status_code == 201
        answers.append(await admin.sends("PATCH", SLEEP, short))
        for one in answers:
            assert code(one) == "422 retention-below-object-lock"
            assert one.json()["lock_days"] == 30
            assert "policy.retention_days" in one.json()["detail"]
        assert (await admin.sends("GET", SLEEP)).json()["policy"]["retention_days"] == 30
        for change in ({"name": "Later"}, {"policy": {"retention_days": None}}):
            assert (await admin.sends("PATCH", SLEEP, change)).status_code == 200


async def test_a_policy_from_before_the_lock_can_be_changed(tmp_path: Path) -> None:
    """A change of other fields is accepted, and leaves the retention as it is."""
    async with open_edge(tmp_path, limits=LIMITS) as edge:
        before = await person(edge, is_admin=True)
        new = NEW | {"policy": {"retention_days": 7}}
        assert (await before.sends("POST", "/v1/studies", new)).status_code == 201
    async with open_edge(tmp_path, limits=LIMITS, store=LOCK) as edge:
        admin = await person(edge, is_admin=True)
        answer = await admin.sends("PATCH", SLEEP, {"policy": {"consent_required": True}})
        assert (answer.status_code, answer.json()["policy"]["retention_days"]) == (200, 7)


async def test_a_study_without_a_role_is_not_found(edge: Edge) -> None:
    """The answer is that to an unknown study and to a slug that no study can have."""
    await person(edge, roles=("manager",))
    stranger = await person(edge)
    answers = [
        (await stranger.sends("GET", f"/v1/studies/{slug}{rest}")).json() | {"correlation_id": ""}
        for slug in ("sleep", "unknown", "Not_A_Slug")
        for rest in ("", "/members", "/subjects", "/subjects/P-1")
    ]
    assert answers[0]["type"].endswith("study-not-found")
    assert answers == [answers[0]] * len(answers)
    assert (await stranger.sends("GET", "/v1/studies")).json()["studies"] == []


ALLOWED = {
    ("GET", SLEEP, None): "uploader reader manager admin",
    ("PATCH", SLEEP, '{"name": "New"}'): "manager admin",
    ("GET", f"{SLEEP}/members", None): "manager admin",
    ("PUT", f"{SLEEP}/members/{UUID(int=1)}", '{"roles": ["reader"]}'): "manager admin",
    ("DELETE", f"{SLEEP}/members/{UUID(int=1)}", None): "manager admin",
    ("GET", f"{SLEEP}/subjects", None): "reader manager",
    ("GET", SUBJECT, None): "reader manager",
    ("GET", f"{SLEEP}/uploads", None): "reader manager",
    ("GET", f"{SLEEP}/coverage", None): "reader manager",
    ("GET", f"{SLEEP}/gaps", None): "reader manager",
    ("PUT", SUBJECT, "{}"): "manager",
    ("PUT", f"{SUBJECT}/consent", '{"version": "v", "given_at": "2026-01-01T00:00:00Z"}'): (
        "manager"
    ),
    ("PUT", f"{SUBJECT}/withdrawal", None): "manager",
}


@pytest.mark.parametrize("role", ["uploader", "reader", "manager", "admin"])
async def test_a_role_allows_what_it_should(edge: Edge, role: str) -> None:
    """Every route of a study, for each role."""
    manager = await person(edge, roles=("manager",))
    await manager.sends("PUT", SUBJECT, {})
    roles = () if role == "admin" else (role,)
    one = await person(edge, is_admin=role == "admin", roles=roles)
    for (method, path, document), allowed in ALLOWED.items():
        answer = await edge.http.request(
            method,
            path,
            content=document,
            headers=one.headers | {"Content-Type": "application/json"},
        )
        refused = answer.status_code == 403 and code(answer) == "403 role-missing"
        assert refused == (role not in allowed.split()), (role, method, path, answer.text)
        assert answer.status_code < 500


async def test_members_get_and_lose_roles(edge: Edge) -> None:
    """Both can be repeated; an account that does not exist is not found."""
    manager = await person(edge, roles=("manager",))
    other = await person(edge)
    member = f"{SLEEP}/members/{other.id}"
    for _ in range(2):
        answer = await manager.sends("PUT", member, {"roles": ["uploader", "reader"]})
        assert answer.json() == {
            "account_id": str(other.id),
            "roles": ["reader", "uploader"],
            "group_roles": [],
        }
    listed = (await manager.sends("GET", f"{SLEEP}/members?limit=100")).json()
    assert {one["account_id"] for one in listed["members"]} == {str(manager.id), str(other.id)}
    page = (await manager.sends("GET", f"{SLEEP}/members?limit=1")).json()
    rest = await manager.sends("GET", f"{SLEEP}/members?cursor={page['next_cursor']}")
    assert page["members"] + rest.json()["members"] == listed["members"]
    for _ in range(2):
        assert (await manager.sends("DELETE", member)).status_code == 204
    assert (await other.sends("GET", SLEEP)).status_code == 404
    for unknown in (uuid4(), "no-id"):
        answer = await manager.sends("PUT", f"{SLEEP}/members/{unknown}", {"roles": ["reader"]})
        assert code(answer) == "404 account-not-found"
    answer = await manager.sends("PUT", member, {"roles": []})
    assert code(answer) == "422 invalid-request"


async def test_a_subject_from_enrolment_to_withdrawal(edge: Edge) -> None:
    """Each step can be repeated; the repetition of the consent does not undo the withdrawal."""
    manager = await person(edge, roles=("manager",))
    assert code(await manager.sends("GET", SUBJECT)) == "404 subject-not-found"
    assert code(await manager.sends("PUT", f"{SUBJECT}/withdrawal")) == "404 subject-not-found"
    assert code(await manager.sends("PUT", f"{SUBJECT}/consent", GIVEN)) == "404 subject-not-found"
    enrolled = [(await manager.sends("PUT", SUBJECT, {})).json() for _ in range(2)]
    assert enrolled[0] == enrolled[1]
    assert (enrolled[0]["state"], enrolled[0]["consent"]) == ("active", None)
    consented = [(await manager.sends("PUT", f"{SUBJECT}/consent", GIVEN)).json() for _ in range(2)]
    assert consented[0] == consented[1]
    assert consented[0]["consent"] == GIVEN | {"withdrawn_at": None}
    withdrawn = [(await manager.sends("PUT", f"{SUBJECT}/withdrawal")).json() for _ in range(2)]
    assert withdrawn[0] == withdrawn[1]
    assert withdrawn[0]["state"] == "withdrawn"
    assert withdrawn[0]["consent"]["withdrawn_at"] is not None
    assert code(await manager.sends("PUT", f"{SUBJECT}/consent", GIVEN)) == "409 consent-outdated"
    assert code(await manager.sends("PUT", SUBJECT, {})) == "403 subject-withdrawn"
    newer = {"version": "v2", "given_at": edge.deps.clock().isoformat()}
    back = (await manager.sends("PUT", f"{SUBJECT}/consent", newer)).json()
    assert (back["state"], back["consent"]["version"]) == ("active", "v2")
    assert (await manager.sends("GET", SUBJECT)).json() == back
    listed = (await manager.sends("GET", f"{SLEEP}/subjects")).json()
    assert listed == {"subjects": [back], "next_cursor": None}


async def test_a_subject_has_bounds(edge: Edge) -> None:
    """A pseudonym, a consent in the past; a number that may be a telephone number is noticed."""
    manager = await person(edge, roles=("manager",))
    for name in ("a@b", "s" * 65, "a%20b"):
        answer = await manager.sends("PUT", f"{SLEEP}/subjects/{name}", {})
        assert code(answer) == "422 invalid-subject"
        answer = await manager.sends("GET", f"{SLEEP}/subjects/{name}")
        assert code(answer) == "404 subject-not-found"
    future = {"version": "v1", "given_at": "2999-01-01T00:00:00Z"}
    answer = await manager.sends("PUT", SUBJECT, {"consent": future})
    assert code(answer) == "422 consent-in-future"
    answer = await manager.sends("PUT", f"{SLEEP}/subjects/01701234567", {})
    assert answer.json()["warnings"] == ["looks-like-a-phone-number"]


async def test_the_default_study_stays_as_it_is(edge: Edge) -> None:
    """An administrator sees it, and nobody changes it."""
    admin = await person(edge, is_admin=True)
    default = "/v1/studies/default"
    assert (await admin.sends("GET", default)).json()["policy"]["enrolment"] == "Open"
    for answer in (
        await admin.sends("PATCH", default, {"name": "x"}),
        await admin.sends("PUT", f"{default}/members/{admin.id}", {"roles": ["reader"]}),
        await admin.sends("DELETE", f"{default}/members/{admin.id}"),
        await admin.sends("POST", "/v1/studies", {"slug": "default", "name": "x"}),
    ):
        assert code(answer) == "409 default-study"
