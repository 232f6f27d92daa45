"""Which events the API records."""

import re
from uuid import UUID

import pytest
from sqlalchemy import event, func, select

from healthingest_service.adapters.database.account_tables import DeviceTokenRow, EnrolmentCodeRow
from healthingest_service.adapters.database.audit_tables import AuditSaltRow
from healthingest_service.adapters.database.engine import transaction
from healthingest_service.api.app import all_routes
from healthingest_service.api.audit_rules import AUDIT_RULES, Recorded
from healthingest_service.api.permissions import PERMISSIONS, PUBLIC
from healthingest_service.audit.chaining import ChainEvents
from healthingest_service.audit.model import Action, ActorKind, AuditEvent, Outcome, salted_hash
from healthingest_service.audit.recorder import email_salt_name
from healthingest_service.audit.refusal_budget import PER_SOURCE
from healthingest_service.audit.verification import VerifyChain
from support.audit import MemoryAnchors
from support.edge import AVRO, PASSWORD, Edge
from support.samples import good_file
from support.study_people import SLEEP, SUBJECT, person
from support.uploads import Clock

ROUTES = {str(route.operation_id): route for route in all_routes()}


async def events(edge: Edge) -> list[AuditEvent]:
    """Return all events, oldest first."""
    return [one.event for one in await edge.runtime.audit.unchained(after=0, limit=100)]


async def named(edge: Edge, action: Action) -> list[AuditEvent]:
    """Return the events of this action."""
    return [one for one in await events(edge) if one.action is action]


async def test_records_account_login_and_logout(edge: Edge) -> None:
    """By the account, with the token and the service's correlation id; no e-mail address."""
    email = await edge.registered()
    token = (await edge.login(email)).json()["access_token"]
    same = {"Authorization": f"Bearer {token}", "X-Correlation-ID": "correlation-of-logout"}
    await edge.http.post("/auth/jwt/logout", headers=same)
    created, login, logout = await events(edge)
    assert [one.action for one in (created, login, logout)] == [
        Action.ACCOUNT_CREATE,
        Action.LOGIN,
        Action.SESSION_REVOKE,
    ]
    assert created.account_id == login.account_id == logout.account_id is not None
    assert login.object_id == logout.object_id is not None
    assert logout.token_id is not None
    assert logout.correlation_id is None  # the client has chosen it
    assert login.correlation_id is not None
    assert email not in str(await events(edge))


async def test_a_refused_login_has_a_salted_hash(edge: Edge) -> None:
    """Of the normal form of the address, with the salt of the day; nothing of other texts."""
    await edge.login("nobody@clinic.example", "wrong password")
    await edge.login("Nobody@Clinic.Example", "wrong password")
    await edge.login("no address", "wrong password")
    first, second, other = await named(edge, Action.LOGIN)
    salt = await edge.runtime.audit.salt(email_salt_name(first.occurred_at))
    assert first.email_hash == second.email_hash == salted_hash(salt, "nobody@clinic.example")
    assert (first.actor, first.outcome) == (ActorKind.ANONYMOUS, Outcome.REFUSED)
    assert (other.email_hash, other.account_id) == (None, None)


async def test_records_uploads_and_downloads(edge: Edge) -> None:
    """An upload once, also if it is repeated; each download, but no HEAD and no 304."""
    user = await edge.signed_in()
    receipt = (await edge.upload(good_file(1), user)).json()
    await edge.upload(good_file(1), user)
    path = f"/v1/uploads/{receipt['upload_id']}/content"
    answer = await edge.http.get(path, headers=user)
    await edge.http.get(path, headers=user | {"Range": "bytes=0-1"})
    await edge.http.head(path, headers=user)
    await edge.http.get(path, headers=user | {"If-None-Match": answer.headers["etag"]})
    (upload,) = await named(edge, Action.UPLOAD)
    downloads = await named(edge, Action.DOWNLOAD)
    assert (upload.object_id, upload.correlation_id) == (receipt["upload_id"], None)
    assert upload.token_id is not None
    assert [one.object_id for one in downloads] == [receipt["upload_id"]] * 2
    assert {one.outcome for one in downloads} == {Outcome.DONE}


async def test_records_who_reads_an_upload_of_others(edge: Edge) -> None:
    """Its subject is known by its hash; the sender's own look is not recorded."""
    sender = await person(edge, roles=("uploader",))
    reader = await person(edge, roles=("reader",))
    about = {"Healthingest-Study": "sleep", "Healthingest-Subject": "P-1"}
    receipt = (await edge.upload(good_file(1), sender.headers | about)).json()
    for one in (sender, reader):
        assert (await one.sends("GET", f"/v1/uploads/{receipt['upload_id']}")).status_code == 200
    (read,) = await named(edge, Action.UPLOAD_READ)
    assert (read.account_id, read.object_id) == (reader.id, receipt["upload_id"])
    (upload,) = await named(edge, Action.UPLOAD)
    assert (read.study, read.subject_hash) == ("sleep", upload.subject_hash)
    assert read.subject_hash is not None


async def test_records_refused_downloads(edge: Edge) -> None:
    """Of another's upload and of an unknown one alike, so that both take the same steps."""
    owner, stranger = [await edge.signed_in() for _ in range(2)]
    known = (await edge.upload(good_file(1), owner)).json()["upload_id"]
    unknown = str(UUID(int=1))
    for upload_id in (known, unknown):
        await edge.http.get(f"/v1/uploads/{upload_id}/content", headers=stranger)
    refused = await named(edge, Action.DOWNLOAD)
    assert [(one.object_id, one.outcome) for one in refused] == [
        (known, Outcome.REFUSED),
        (unknown, Outcome.REFUSED),
    ]


async def test_a_request_that_cannot_be_recorded_is_answered_so(edge: Edge) -> None:
    """Also one that changes something: the client gets 503, and repeats it."""
    user = await edge.signed_in()
    await _no_more_events(edge)
    answer = await edge.http.patch("/auth/me", json={"first_name": "Ada"}, headers=user)
    assert (answer.status_code, answer.json()["cause"]) == (503, "database")


async def test_a_refusal_is_sent_without_its_record(edge: Edge) -> None:
    """The database is full: still 401, and the metric counts it."""
    await _no_more_events(edge)
    assert (await edge.http.get("/v1/uploads")).status_code == 401
    assert _refusals(edge, "failed") == 1


async def test_an_enrolment_code_is_recorded_once(edge: Edge) -> None:
    """With its id, its study and the hash of its subject."""
    manager = await person(edge, roles=("manager",))
    await manager.sends("PUT", SUBJECT, {})
    (enrolled,) = await named(edge, Action.SUBJECT_ENROL)
    code = (await manager.sends("POST", f"{SLEEP}/enrolments", {"subject": "P-1"})).json()
    (created,) = await named(edge, Action.ENROLMENT_CREATE)
    assert (created.account_id, created.object_id) == (manager.id, code["id"])
    assert (created.study, created.subject_hash) == ("sleep", enrolled.subject_hash)
    assert created.token_id is not None


async def test_a_secret_that_cannot_be_recorded_is_not_created(edge: Edge) -> None:
    """Neither a device token nor an enrolment code is left whose text nobody has."""
    manager = await person(edge, roles=("manager",))
    await _no_more_events(edge)
    for path, document in (
        ("/v1/tokens", {"name": "device"}),
        (f"{SLEEP}/enrolments", {}),
    ):
        answer = await manager.sends("POST", path, document)
        assert (answer.status_code, answer.json()["cause"]) == (503, "accounts")
    async with transaction(edge.runtime.engine, timeout_seconds=5) as connection:
        for table in (DeviceTokenRow, EnrolmentCodeRow):
            assert await connection.scalar(select(func.count()).select_from(table)) == 0


async def test_no_byte_is_sent_that_is_not_recorded(edge: Edge) -> None:
    """The event cannot be inserted: no file, but a problem."""
    user = await edge.signed_in()
    receipt = (await edge.upload(good_file(1), user)).json()
    await _no_more_events(edge)
    path = f"/v1/uploads/{receipt['upload_id']}/content"
    answer = await edge.http.get(path, headers=user)
    assert answer.status_code == 503
    assert good_file(1) not in answer.content


async def _no_more_events(edge: Edge) -> None:
    """Let the database lose its connection whenever an event is inserted."""

    @event.listens_for(edge.runtime.engine.sync_engine, "before_cursor_execute")
    def _refuse(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO audit_event"):
            message = "the disk is full"
            raise OSError(message)


def _refusals(edge: Edge, outcome: str) -> float:
    found = edge.runtime.metrics.registry.get_sample_value(
        "healthingest_audit_refusals_total", {"outcome": outcome}
    )
    return found or 0


async def test_refusals_are_limited(edge: Edge) -> None:
    """A client without a token adds ten events a minute; the others are counted."""
    answers = [await edge.http.get("/v1/uploads") for _ in range(PER_SOURCE + 3)]
    assert {one.status_code for one in answers} == {401}
    refused = await named(edge, Action.UPLOAD_READ)
    assert len(refused) == PER_SOURCE
    assert {one.reason for one in refused} == {"unauthenticated"}
    assert (_refusals(edge, "recorded"), _refusals(edge, "omitted")) == (PER_SOURCE, 3)


@pytest.mark.parametrize("name", sorted(one for one in ROUTES if PERMISSIONS[one].needs_token))
async def test_each_operation_records_a_request_without_a_token(edge: Edge, name: str) -> None:
    """As its action, with the reason, and without a text of the path."""
    route = ROUTES[name]
    path = re.sub(r"\{\w+\}", "john.doe", route.path)
    methods = route.methods or set()
    await edge.http.request(min(methods - {"HEAD"} or methods), path)
    (refused,) = await events(edge)
    assert (refused.action, refused.outcome) == (AUDIT_RULES[name].action, Outcome.REFUSED)
    assert (refused.actor, refused.reason) == (ActorKind.ANONYMOUS, "unauthenticated")
    assert "john.doe" not in str(refused)


def test_each_operation_has_a_rule() -> None:
    """A route that somebody adds is recorded, or says why it is not."""
    assert set(AUDIT_RULES) == set(PERMISSIONS)
    for name, rule in AUDIT_RULES.items():
        assert bool(rule.why_never) == (rule.success is Recorded.NEVER), name
        assert rule.action is not None or PERMISSIONS[name] == PUBLIC, name
        parameters = re.findall(r"\{(\w+)\}", ROUTES[name].path)
        assert rule.object_in_path is None or rule.object_in_path in parameters, name
        if PERMISSIONS[name].roles and name != "getStudy":
            assert rule.success is not Recorded.NEVER, name


async def test_records_what_happens_in_a_study(edge: Edge) -> None:
    """Each operation of a member, with the study, and with the hash of the subject."""
    manager = await person(edge, roles=("manager", "uploader"))
    member = f"{SLEEP}/members/{manager.id}"
    consent = {"version": "v1", "given_at": "2026-03-01T12:00:00Z"}
    about = AVRO | {"Healthingest-Study": "sleep", "Healthingest-Subject": "P-1"}
    await manager.sends("PUT", SUBJECT, {})
    sent = await edge.http.post("/v1/upload", content=good_file(1), headers=manager.headers | about)
    place = sent.headers["Location"]
    for method, path, document in (
        ("PATCH", SLEEP, {"name": "Sleep 2"}),
        ("GET", f"{SLEEP}/members", None),
        ("PUT", member, {"roles": ["manager", "uploader"]}),
        ("PUT", f"{SUBJECT}/consent", consent),
        ("GET", SUBJECT, None),
        ("GET", f"{SLEEP}/subjects", None),
        ("GET", f"{SLEEP}/uploads?subject=P-1", None),
        ("GET", f"{SLEEP}/coverage?subject=P-1", None),
        ("GET", f"{SLEEP}/gaps?subject=P-1", None),
        ("GET", f"{place}/content", None),
        ("PUT", f"{SUBJECT}/withdrawal", None),
        ("DELETE", member, None),
    ):
        answer = await manager.sends(method, path, document)
        assert answer.status_code < 300, answer.text
    found = [one for one in await events(edge) if one.study == "sleep"]
    assert [one.action for one in found] == [
        Action.STUDY_CREATE,
        Action.MEMBER_CHANGE,
        Action.SUBJECT_ENROL,
        Action.UPLOAD,
        Action.STUDY_CHANGE,
        Action.MEMBER_READ,
        Action.MEMBER_CHANGE,
        Action.SUBJECT_CONSENT,
        Action.SUBJECT_READ,
        Action.SUBJECT_READ,
        Action.UPLOAD_READ,
        Action.COVERAGE_READ,
        Action.COVERAGE_READ,
        Action.DOWNLOAD,
        Action.SUBJECT_WITHDRAW,
        Action.MEMBER_REMOVE,
    ]
    with_subject = [one.action for one in found if one.subject_hash is not None]
    assert with_subject == [
        Action.SUBJECT_ENROL,
        Action.UPLOAD,
        Action.SUBJECT_CONSENT,
        Action.SUBJECT_READ,
        Action.UPLOAD_READ,
        Action.COVERAGE_READ,
        Action.COVERAGE_READ,
        Action.DOWNLOAD,
        Action.SUBJECT_WITHDRAW,
    ]
    assert len({one.subject_hash for one in found}) == 2  # None, and that of the subject
    assert "P-1" not in str(found)


async def test_a_refused_upload_names_study_and_subject(edge: Edge) -> None:
    """Of a withdrawn subject; an unknown study or subject leaves no text of the client."""
    manager = await person(edge, roles=("manager", "uploader"))
    await manager.sends("PUT", SUBJECT, {})
    await manager.sends("PUT", f"{SUBJECT}/withdrawal")
    for study, subject in (("sleep", "P-1"), ("john-doe", "P-1")):
        names = {"Healthingest-Study": study, "Healthingest-Subject": subject}
        await edge.http.post("/v1/upload", content=b"", headers=manager.headers | AVRO | names)
    withdrawn, unknown = await named(edge, Action.UPLOAD)
    assert (withdrawn.study, withdrawn.reason) == ("sleep", "subject-withdrawn")
    assert withdrawn.subject_hash is not None
    assert (unknown.study, unknown.subject_hash, unknown.reason) == (None, None, "study-not-found")


async def test_an_erased_salt_leaves_no_link_to_the_subject(edge: Edge) -> None:
    """The erasure of the subject removes it; the events stay, and the chain is intact."""
    manager = await person(edge, roles=("manager",))
    await manager.sends("PUT", SUBJECT, {})
    salts = select(AuditSaltRow.name).where(AuditSaltRow.name.startswith("subject/"))
    left = []
    for _ in range(2):
        async with transaction(edge.runtime.engine, timeout_seconds=5) as connection:
            left.append(len((await connection.scalars(salts)).all()))
        assert (await manager.sends("POST", f"{SUBJECT}/erasure")).status_code == 202
        await edge.erase()
    assert left == [1, 0]
    (enrolled,) = await named(edge, Action.SUBJECT_ENROL)
    assert enrolled.subject_hash is not None
    anchors = MemoryAnchors()
    chaining = ChainEvents(
        edge.runtime.audit, anchors, clock=Clock(), interval_seconds=1, anchor_seconds=0
    )
    await chaining.chain_all()
    assert (await VerifyChain(edge.runtime.audit, anchors, clock=Clock())()).is_intact


async def test_records_what_an_owner_does_with_its_account(edge: Edge) -> None:
    """Names, password, device tokens, sessions, and the end of the account."""
    user = await edge.signed_in()
    await edge.http.patch("/auth/me", json={"first_name": "Ada"}, headers=user)
    changing = {"current_password": PASSWORD, "new_password": f"{PASSWORD}!"}
    await edge.http.post("/auth/change-password", json=changing, headers=user)
    token = (await edge.http.post("/v1/tokens", json={"name": "device"}, headers=user)).json()
    await edge.http.delete(f"/v1/tokens/{token['id']}", headers=user)
    await edge.http.delete("/auth/sessions", headers=user)
    closing = {"password": f"{PASSWORD}!"}
    await edge.http.request("DELETE", "/auth/me", json=closing, headers=user)
    found = (await events(edge))[2:]
    assert [one.action for one in found] == [
        Action.ACCOUNT_CHANGE,
        Action.PASSWORD_CHANGE,
        Action.DEVICE_TOKEN_CREATE,
        Action.DEVICE_TOKEN_REVOKE,
        Action.SESSION_REVOKE,
        Action.ACCOUNT_CLOSE,
    ]
    assert [one.object_id for one in found if "token" in one.action] == [token["id"]] * 2
    assert len({one.account_id for one in found}) == 1
