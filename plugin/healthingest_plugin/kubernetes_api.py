"""Requests to the Kubernetes API: plain dictionaries, a deadline for each, our errors."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx

from healthingest_plugin.errors import ApiError
from healthingest_plugin.kubectl import Proxy
from healthingest_plugin.model import object_path

MERGE_PATCH: Final = "application/merge-patch+json"
APPLY_PATCH: Final = "application/apply-patch+yaml"
PAGE: Final = 500
"""Objects in one answer; a list is read in pages."""
MOST_PAGES: Final = 20
_JSON: Final = "application/json"
_NOT_FOUND: Final = 404
_FORBIDDEN: Final = 403
_UNAUTHENTICATED: Final = 401
_SERVER_ERROR: Final = 500
_FIRST_ERROR: Final = 400
_WORDS: Final = 400


class KubernetesApi:
    """The API server behind a proxy of kubectl; safe to use from several threads."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http
        self._now: datetime | None = None

    @property
    def now(self) -> datetime:
        """The time of the API server at its last answer, else of this machine."""
        return self._now or datetime.now(UTC)

    def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return an object; raises `ApiError`."""
        found: dict[str, Any] = json.loads(self._send("GET", path, query=query))
        return found

    def items(
        self,
        api_version: str,
        kind: str,
        namespace: str | None,
        query: Mapping[str, str] | None = None,
    ) -> list[dict[str, Any]]:
        """Return all objects of a kind, with `apiVersion` and `kind`; raises `ApiError`."""
        path = object_path(api_version, kind, namespace)
        found: list[dict[str, Any]] = []
        following = ""
        for _ in range(MOST_PAGES):
            page = {"limit": str(PAGE), **(query or {})}
            answer = self.get(path, page | ({"continue": following} if following else {}))
            # Elements of a list come without these two.
            found += [{"apiVersion": api_version, "kind": kind, **item} for item in answer["items"]]
            following = (answer.get("metadata") or {}).get("continue") or ""
            if not following:
                break
        return found

    def patch(self, path: str, body: object, query: Mapping[str, str]) -> dict[str, Any]:
        """Apply a merge patch, and return the object; raises `ApiError`."""
        content = json.dumps(body)
        text = self._send("PATCH", path, query=query, content=content, media_type=MERGE_PATCH)
        found: dict[str, Any] = json.loads(text)
        return found

    def apply_dry_run(self, manifest: Mapping[str, Any], manager: str) -> dict[str, Any]:
        """Return the object that a server-side apply would make; raises `ApiError`."""
        metadata = manifest["metadata"]
        path = object_path(
            manifest["apiVersion"], manifest["kind"], metadata["namespace"], metadata["name"]
        )
        query = {"dryRun": "All", "fieldManager": manager, "force": "true"}
        content = json.dumps(manifest)
        text = self._send("PATCH", path, query=query, content=content, media_type=APPLY_PATCH)
        found: dict[str, Any] = json.loads(text)
        return found

    def create(self, path: str, body: object) -> dict[str, Any]:
        """Create an object, and return it; raises `ApiError`."""
        found: dict[str, Any] = json.loads(self._send("POST", path, content=json.dumps(body)))
        return found

    def text(self, path: str, query: Mapping[str, str]) -> str:
        """Return an answer that is no JSON, such as a log; raises `ApiError`."""
        return self._send("GET", path, query=query, accept="*/*")

    def _send(  # noqa: PLR0913 - one request has as many parts
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        content: str | None = None,
        media_type: str = _JSON,
        accept: str = _JSON,
    ) -> str:
        try:
            answer = self._http.request(
                method,
                path,
                params=query,
                content=content,
                headers={"Accept": accept, "Content-Type": media_type},
            )
        except httpx.HTTPError as error:
            text = (
                f"the API server gives no answer to {method} {path} ({type(error).__name__}):"
                " check with kubectl version, or raise --request-timeout"
            )
            raise ApiError(0, text) from error
        if answer.status_code >= _FIRST_ERROR:
            raise ApiError(
                answer.status_code, _refusal(method, path, answer.status_code, answer.text)
            )
        if date := answer.headers.get("date"):
            self._now = parsedate_to_datetime(date)
        return answer.text


@contextmanager
def kubernetes_api(proxy: Proxy, request_seconds: float) -> Iterator[KubernetesApi]:
    """Open connections through *proxy*; each request has *request_seconds*."""
    transport = httpx.HTTPTransport(uds=str(proxy.socket))
    with httpx.Client(
        transport=transport, base_url="http://localhost", timeout=request_seconds, trust_env=False
    ) as http:
        yield KubernetesApi(http)


def _refusal(method: str, path: str, status: int, text: str) -> str:
    if status == _UNAUTHENTICATED:
        return "the API server does not accept your login: log in again, or use another --context"
    said = _message(text)
    if status >= _SERVER_ERROR and not text.startswith("{"):
        # The proxy's own words: the API server answers in JSON.
        return (
            f"the API server of this context cannot be reached ({said}): check with kubectl"
            " cluster-info, or use another --context"
        )
    if status == _FORBIDDEN:
        return f"{said}: ask an administrator for this right"
    return f"the API server refused {method} {path} ({status}): {said}"


def _message(text: str) -> str:
    try:
        return str(json.loads(text).get("message", ""))[:_WORDS]
    except (ValueError, AttributeError):
        return text.strip()[:_WORDS]


def is_missing(error: ApiError) -> bool:
    """Whether the object or its kind does not exist."""
    return error.status == _NOT_FOUND
