"""
Conversion of responses of RabbitMQ's management API into causes.

Their texts are only searched for known patterns, and not repeated.
"""

import json
import re
from typing import Any, Final
from urllib.parse import urlsplit

from healthingest_contract.conditions import Reason
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.ports import BrokerAccess
from healthingest_operator.status import outside_causes as causes

_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_FIRST_SERVER_ERROR: Final = 500
_LIMIT: Final = re.compile(r"((?:queue|vhost|exchange|cluster)\w* (?:\w+ )*limit)\b[^(]*(\(\d+\))")
_TOKEN: Final = re.compile(r"[a-z_]{1,60}")
"""A reason of one word, such as `vhost_or_user_not_found`, which quotes no value."""
_ALARM: Final = re.compile(r"^[a-z_]{1,40}$")


def place(access: BrokerAccess) -> str:
    """Return the address of the management API, for messages."""
    return (
        f"RabbitMQ at {urlsplit(access.management_url).netloc.rpartition('@')[2]} (management API)"
    )


def refusal(access: BrokerAccess, status: int, what: str, text: bytes) -> DependencyError:
    """Return the error for a status of 400 or more; *text* is the response body."""
    where = place(access)
    if status >= _FIRST_SERVER_ERROR:
        return DependencyError(Reason.UNREACHABLE, f"{where} answers {status}: {what}")
    said = _said(text)
    if said is None:
        return DependencyError.of(causes.NOT_MANAGEMENT, where=where)
    if status == _UNAUTHORIZED:
        return DependencyError.of(causes.MANAGEMENT_LOGIN, where=where, user=access.username)
    if status == _FORBIDDEN:
        return DependencyError(
            Reason.PERMISSION_DENIED, f"{where} denies user {access.username}: {what}"
        )
    limit = _LIMIT.search(said)
    if limit:
        return DependencyError.of(
            causes.BROKER_LIMIT, where=where, what=what, limit=" ".join(limit.groups())
        )
    why = f", {said}" if _TOKEN.fullmatch(said) else ""
    return DependencyError(Reason.REQUEST_REFUSED, f"{where} refuses ({status}): {what}{why}")


def is_rabbitmq(text: bytes) -> bool:
    """Whether the body of an error response comes from the management API."""
    return _said(text) is not None


def alarms(text: bytes) -> str:
    """
    Return the kinds of alarms in a response of `health/checks/alarms`, e.g. `memory`.

    Source: RabbitMQ docs, "HTTP API Reference".
    """
    try:
        found = json.loads(text).get("alarms") or []
        kinds = {str(alarm.get("resource")) for alarm in found}
    except (ValueError, AttributeError, TypeError):
        kinds = set()
    return ", ".join(sorted(kind for kind in kinds if _ALARM.match(kind))) or "of an unknown kind"


def _said(text: bytes) -> str | None:
    """Return the reason in an error response of the management API; None: it has none."""
    try:
        found: Any = json.loads(text)
    except ValueError:
        return None
    return str(found.get("reason", "")) if isinstance(found, dict) and "error" in found else None
