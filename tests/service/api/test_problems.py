import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest

from healthingest_service.api.problems import PROBLEM_KEYS, PROBLEMS, problem_of
from healthingest_service.audit import errors as audit
from healthingest_service.erasure import errors as erasure
from healthingest_service.identity import errors as identity
from healthingest_service.studies import errors as studies
from healthingest_service.uploads import errors as uploads
from healthingest_service.uploads import resumable
from support.edge import Edge

DOCUMENT = Path(__file__).parents[3] / "docs" / "reference" / "api.md"
INNER = {
    resumable.ResumableError,
    uploads.UploadError,  # roots are never raised
    uploads.PublishError,  # the relay's, which answers nobody
    uploads.BrokerUnreachableError,
    uploads.MessageUnroutableError,
    uploads.MessageRefusedError,
    identity.IdentityError,
    identity.MailError,  # this and the next two: the delivery's, which answers nobody
    identity.MailRefusedError,
    identity.MailUnavailableError,
    studies.StudyError,
    uploads.ObjectLockedError,  # of an erasure, which the janitor runs
    erasure.ErasureError,
    erasure.InvalidErasureKeyError,  # of settings
    erasure.InvalidCertificateError,  # of the admin CLI
    identity.LimiterUnavailableError,  # turned into a decision before the edge
}


def _errors(module: ModuleType) -> set[type[Exception]]:
    return {
        one for _, one in inspect.getmembers(module, inspect.isclass) if issubclass(one, Exception)
    }


def test_every_error_has_a_row_or_never_comes_here() -> None:
    """An error that somebody adds must get a status and a code."""
    modules = (uploads, resumable, identity, studies, erasure)
    found = {error for module in modules for error in _errors(module)}
    found.add(audit.AuditUnavailableError)
    assert found == set(PROBLEM_KEYS) | INNER
    assert set(PROBLEM_KEYS.values()) <= set(PROBLEMS)


def test_the_unforeseen_says_nothing() -> None:
    """An error that is not in the table is `internal-error`."""
    assert problem_of(KeyError("a value")).code == "internal-error"


def test_the_document_has_the_same_table() -> None:
    """docs/reference/api.md lists status, code, cause and meaning of each problem."""
    rows = re.findall(
        r"^\| (\d{3}) \| `([a-z-]+)` \| (?:`([a-z-]+)` )?\| (.+) \|$",
        DOCUMENT.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert sorted(rows) == sorted(
        (str(one.status), one.code, one.cause or "", one.detail) for one in PROBLEMS.values()
    )


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("PUT", "/v1/upload", 405),
        ("GET", "/v1/uploads", 401),
        ("GET", "/health/ready", 503),
        ("GET", "/v1/uploads/..%2f..", 404),
    ],
)
async def test_every_refusal_is_a_problem(edge: Edge, method: str, path: str, status: int) -> None:
    """Unknown routes, other methods, no token, not ready: RFC 9457 with all our members."""
    answer = await edge.http.request(method, path)
    problem = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (
        status,
        "application/problem+json",
    )
    assert set(problem) == {"type", "title", "status", "detail", "correlation_id"}
    assert problem["status"] == status
    assert problem["correlation_id"] == answer.headers["x-correlation-id"]


async def test_another_method_is_told_which_there_are(edge: Edge) -> None:
    """405 has `Allow` (RFC 9110, 15.5.6)."""
    assert (await edge.http.put("/v1/upload")).headers["allow"] == "OPTIONS, POST"


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/auth/me", "DELETE, GET, HEAD, PATCH"),
        ("/auth/verify", "GET, HEAD, POST"),
        ("/v1/tokens", "GET, HEAD, POST"),
        ("/v1/studies/sleep/members/x", "DELETE, PUT"),
    ],
)
async def test_all_methods_of_a_path_are_named(edge: Edge, path: str, methods: str) -> None:
    """Each is a route of its own."""
    for method in ("OPTIONS", "TRACE"):
        answer = await edge.http.request(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, methods)
