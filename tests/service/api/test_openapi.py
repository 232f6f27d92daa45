import re
from typing import Any

import pytest

from healthingest_service.api.permissions import PERMISSIONS
from support.edge import Edge
from support.samples import good_file

OPERATION_IDS = {
    ("POST", "/auth/register"): "registerAccount",
    ("POST", "/auth/jwt/login"): "logIn",
    ("POST", "/auth/jwt/logout"): "logOut",
    ("POST", "/auth/jwt/refresh"): "refreshTokens",
    ("POST", "/ui/session"): "signInToPage",
    ("DELETE", "/ui/session"): "endPageSession",
    ("POST", "/ui/session/code"): "signInToPageWithCode",
    ("POST", "/ui/session/refresh"): "continuePageSession",
    ("GET", "/auth/oidc"): "listIdentityProviders",
    ("POST", "/auth/oidc/login"): "logInWithCode",
    ("GET", "/auth/me"): "getOwnAccount",
    ("PATCH", "/auth/me"): "updateOwnAccount",
    ("DELETE", "/auth/me"): "closeOwnAccount",
    ("POST", "/auth/change-password"): "changePassword",
    ("POST", "/auth/forgot-password"): "forgotPassword",
    ("POST", "/auth/request-verify-token"): "requestVerification",
    ("POST", "/auth/reset-password"): "resetPassword",
    ("POST", "/auth/verify"): "verifyEmail",
    ("GET", "/auth/sessions"): "listSessions",
    ("DELETE", "/auth/sessions"): "endOtherSessions",
    ("DELETE", "/auth/sessions/{session_id}"): "endSession",
    ("POST", "/v1/tokens"): "createToken",
    ("GET", "/v1/tokens"): "listTokens",
    ("DELETE", "/v1/tokens/{token_id}"): "revokeToken",
    ("POST", "/v1/studies/{study}/enrolments"): "createEnrolment",
    ("DELETE", "/v1/studies/{study}/enrolments/{enrolment}"): "cancelEnrolment",
    ("POST", "/v1/enrolments/redeem"): "redeemEnrolment",
    ("GET", "/v1/studies/{study}/tokens"): "listStudyTokens",
    ("DELETE", "/v1/studies/{study}/tokens/{token_id}"): "revokeStudyToken",
    ("POST", "/v1/upload"): "createUpload",
    ("OPTIONS", "/v1/upload"): "describeUploads",
    ("HEAD", "/v1/upload/{resumable_id}"): "getUploadOffset",
    ("PATCH", "/v1/upload/{resumable_id}"): "appendToUpload",
    ("DELETE", "/v1/upload/{resumable_id}"): "cancelUpload",
    ("OPTIONS", "/v1/files"): "describeResumableUploads",
    ("POST", "/v1/files"): "createResumableUpload",
    ("GET", "/v1/files/{file_id}"): "getResumableUpload",
    ("PATCH", "/v1/files/{file_id}"): "appendToResumableUpload",
    ("DELETE", "/v1/files/{file_id}"): "terminateResumableUpload",
    ("GET", "/v1/uploads"): "listUploads",
    ("GET", "/v1/uploads/{upload_id}"): "getUpload",
    ("GET", "/v1/studies"): "listStudies",
    ("POST", "/v1/studies"): "createStudy",
    ("GET", "/v1/studies/{study}"): "getStudy",
    ("PATCH", "/v1/studies/{study}"): "changeStudy",
    ("GET", "/v1/studies/{study}/members"): "listMembers",
    ("PUT", "/v1/studies/{study}/members/{account}"): "putMember",
    ("DELETE", "/v1/studies/{study}/members/{account}"): "removeMember",
    ("GET", "/v1/studies/{study}/subjects"): "listSubjects",
    ("GET", "/v1/studies/{study}/subjects/{subject}"): "getSubject",
    ("PUT", "/v1/studies/{study}/subjects/{subject}"): "enrolSubject",
    ("PUT", "/v1/studies/{study}/subjects/{subject}/consent"): "giveConsent",
    ("PUT", "/v1/studies/{study}/subjects/{subject}/withdrawal"): "withdrawSubject",
    ("GET", "/v1/studies/{study}/uploads"): "listStudyUploads",
    ("GET", "/v1/studies/{study}/coverage"): "getCoverage",
    ("GET", "/v1/studies/{study}/gaps"): "listGaps",
    ("GET", "/v1/studies/{study}/audit"): "listAuditEvents",
    ("GET", "/v1/studies/{study}/subjects/{subject}/disclosures"): "listDisclosures",
    ("GET", "/v1/uploads/{upload_id}/content"): "getUploadContent",
    ("POST", "/v1/uploads/{upload_id}/outcome"): "reportOutcome",
    ("DELETE", "/v1/uploads/{upload_id}"): "eraseUpload",
    ("POST", "/v1/studies/{study}/subjects/{subject}/erasure"): "eraseSubject",
    ("POST", "/v1/studies/{study}/erasure"): "eraseStudy",
    ("GET", "/v1/erasures/{erasure_id}"): "getErasure",
    ("GET", "/"): "getServiceInfo",
    ("GET", "/health/live"): "checkLiveness",
    ("GET", "/health/ready"): "checkReadiness",
    ("GET", "/health/startup"): "checkStartup",
}


@pytest.fixture(name="document")
async def _document(edge: Edge) -> dict[str, Any]:
    document: dict[str, Any] = (await edge.http.get("/openapi.json")).json()
    return document


def test_every_route_has_its_operation_id(document: dict[str, Any]) -> None:
    """The document has exactly these routes, each with a chosen id for generated clients."""
    described = {
        (method.upper(), path): operation["operationId"]
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert described == OPERATION_IDS
    assert all(re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", one) for one in described.values())


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    """Each `$ref` names a schema or a header of the document."""
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
    components = document["components"]
    there = {
        f"#/components/{kind}/{name}"
        for kind in ("schemas", "headers")
        for name in components[kind]
    }
    assert set(found) <= there


def test_says_what_needs_a_token(document: dict[str, Any]) -> None:
    """The same routes as in the table of permissions."""
    secured = {
        operation["operationId"]
        for methods in document["paths"].values()
        for operation in methods.values()
        if "security" in operation
    }
    assert secured == {name for name, found in PERMISSIONS.items() if found.needs_token}


def _operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_the_framework_s_own_errors_are_not_in_it(document: dict[str, Any]) -> None:
    """Whatever is not 2xx, nor 304, is a problem."""
    others = [
        (name, status)
        for name, operation in _operations(document).items()
        for status, answer in operation["responses"].items()
        if not status.startswith(("2", "304"))
        and list(answer["content"]) != ["application/problem+json"]
    ]
    assert others == []
    assert not [name for name in document["components"]["schemas"] if "Validation" in name]
    assert "422" not in _operations(document)["GET /v1/uploads/{upload_id}"]["responses"]


def test_names_the_headers_that_come(document: dict[str, Any]) -> None:
    """Statuses have their headers, an upload has its location, the rest is in `default`."""
    for name, operation in _operations(document).items():
        answers = {
            status: set(answer["headers"]) for status, answer in operation["responses"].items()
        }
        assert "X-Correlation-ID" in answers["default"], name
        for status, header in (
            ("401", "WWW-Authenticate"),
            ("429", "Retry-After"),
            ("503", "Retry-After"),
        ):
            assert header in answers.get(status, {header}), (name, status)
        assert ("429" in answers) == any("RateLimit" in headers for headers in answers.values()), (
            name
        )
    upload = _operations(document)["POST /v1/upload"]["responses"]
    assert {"Location", "RateLimit"} <= set(upload["201"]["headers"]) & set(
        upload["200"]["headers"]
    )
    assert "Retry-After" in upload["409"]["headers"]


async def test_what_comes_is_described(edge: Edge, document: dict[str, Any]) -> None:
    """Of some answers, each with its status and headers."""
    user = await edge.signed_in()
    file = good_file(1)
    first = await edge.upload(file, user)
    content = f"/v1/uploads/{first.json()['upload_id']}/content"
    answers = [
        ("POST /v1/upload", first),
        *[
            (
                "GET /v1/uploads/{upload_id}/content",
                await edge.http.get(content, headers=user | condition),
            )
            for condition in (
                {},
                {"Range": "bytes=0-0"},
                {"Range": "bytes=999999-"},
                {"If-Match": "x"},
                {"If-None-Match": "*"},
            )
        ],
        ("POST /v1/upload", await edge.upload(file, user)),
        ("POST /v1/upload", await edge.upload(file, {})),
        ("POST /v1/upload", await edge.upload(file, user | {"Content-Encoding": "gzip"})),
        ("GET /v1/uploads", await edge.http.get("/v1/uploads", headers=user)),
        ("GET /v1/uploads/{upload_id}", await edge.http.get("/v1/uploads/x", headers=user)),
        ("POST /auth/jwt/login", await edge.login("nobody@clinic.example")),
        ("POST /auth/jwt/logout", await edge.http.post("/auth/jwt/logout")),
        ("GET /", await edge.http.get("/")),
        ("GET /health/ready", await edge.http.get("/health/ready")),
    ]
    ours = {name.lower() for name in document["components"]["headers"]}
    for name, answer in answers:
        described = _operations(document)[name]["responses"][str(answer.status_code)]
        came = {header for header in answer.headers if header in ours}
        assert came <= {header.lower() for header in described["headers"]}, (
            name,
            answer.status_code,
        )


def test_has_no_example_that_is_wrong_for_every_body(document: dict[str, Any]) -> None:
    """Tools send examples: a digest that is right for no body would be refused."""
    parameters = _operations(document)["POST /v1/upload"]["parameters"]
    digests = [one for one in parameters if one["name"].endswith("-Digest")]
    assert len(digests) == 2
    assert not [one for one in digests if "example" in str(one)]


async def test_says_name_and_version(edge: Edge) -> None:
    """At the root."""
    assert (await edge.http.get("/")).json() == {
        "name": "healthingest",
        "version": edge.deps.version,
    }
