"""The middleware that records requests in the audit log, as `audit_rules` says."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import structlog
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from healthingest_contract.events import TRACEPARENT
from healthingest_service.api.api_dependencies import ApiDependencies
from healthingest_service.api.audit_rules import AUDIT_RULES, AuditRule, Recorded
from healthingest_service.api.correlation import HEADER, is_chosen
from healthingest_service.api.dependencies import address_of
from healthingest_service.api.problems import answer
from healthingest_service.audit.errors import AuditUnavailableError
from healthingest_service.audit.model import Outcome
from healthingest_service.audit.recorder import EventDetails

REFUSAL_NOT_RECORDED: Final = "audit_refusal_not_recorded"
REFUSED_STATUSES: Final = frozenset({401, 403, 404, 410})
"""Refusals for want of a right; an unknown object answers as one of somebody else does."""
_SUCCESSES: Final = range(200, 300)


class AuditTrail:
    """
    Records the requests of each operation before their answers are sent.

    If a success cannot be recorded, the client gets 503 in its place. A refusal is sent even so.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._log = structlog.get_logger("healthingest.api")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request as the class describes."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope["state"]
        headers = Headers(scope=scope)
        chosen = is_chosen(headers.get(HEADER), headers.get(TRACEPARENT))
        state["audit"] = EventDetails(correlation_id=None if chosen else state["correlation_id"])
        is_replaced = False

        async def audited(message: Message) -> None:
            nonlocal is_replaced
            if is_replaced:
                return
            if message["type"] == "http.response.start":
                try:
                    await self._record(scope, message["status"])
                except AuditUnavailableError as error:
                    is_replaced = True
                    response = await answer(Request(scope), error)
                    await response(scope, receive, send)
                    return
            await send(message)

        await self._app(scope, receive, audited)

    async def _record(self, scope: Scope, status: int) -> None:
        rule = AUDIT_RULES.get(getattr(scope.get("route"), "operation_id", None) or "")
        if rule is None or rule.action is None:
            return
        deps: ApiDependencies = scope["app"].state.deps
        if status in REFUSED_STATUSES:
            await self._refused(scope, rule, deps)
        elif status in _SUCCESSES and scope["method"] != "HEAD" and _is_recorded(scope, rule):
            await deps.audit.by_client(rule.action, Outcome.DONE, _details(scope, rule))

    async def _refused(self, scope: Scope, rule: AuditRule, deps: ApiDependencies) -> None:
        details = _details(scope, rule)
        is_anonymous = details.account_id is None
        source = (
            address_of(Request(scope), deps) if is_anonymous else f"account:{details.account_id}"
        )
        count = deps.metrics.audit_refusals.labels
        if rule.action is None or not deps.refusals.admits(source, is_anonymous=is_anonymous):
            count("omitted").inc()
            return
        reason = scope["state"].get("problem_key")
        try:
            await deps.audit.by_client(rule.action, Outcome.REFUSED, details, reason=reason)
        except AuditUnavailableError:
            count("failed").inc()
            self._log.warning(REFUSAL_NOT_RECORDED, action=rule.action.value)
        else:
            count("recorded").inc()


def _is_recorded(scope: Scope, rule: AuditRule) -> bool:
    details: EventDetails = scope["state"]["audit"]
    return rule.success is Recorded.BEFORE_ANSWER or (
        rule.success is Recorded.IF_FOREIGN and not details.is_own
    )


def _details(scope: Scope, rule: AuditRule) -> EventDetails:
    """Return the details of the request: of its route, its caller and its path."""
    details: EventDetails = scope["state"]["audit"]
    principal = scope["state"].get("principal")
    if principal is not None:
        details.account_id = principal.account_id
        details.token_id = principal.token_id
    if details.object_id is None and rule.object_in_path is not None:
        details.object_id = _id_in(scope.get("path_params", {}), rule.object_in_path)
    return details


def _id_in(path: Mapping[str, Any], name: str) -> str | None:
    """Return the id in the path; None if it is no UUID, so that no other text is recorded."""
    try:
        return str(UUID(path[name]))
    except (KeyError, ValueError):
        return None
