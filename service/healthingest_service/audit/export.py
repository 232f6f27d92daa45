"""
Events as JSON Lines, and as AuditEvent resources of FHIR R4. Pure.

The fields are those of https://hl7.org/fhir/R4/auditevent.html; a line is one resource.
"""

import json
from typing import Any, Final

from healthingest_service.audit.chain import as_json, canonical
from healthingest_service.audit.model import Action, AuditEvent, Link, Outcome, StoredEvent

_SYSTEM: Final = "https://healthingest.dev/audit/"
_TYPE: Final = {
    "system": "http://terminology.hl7.org/CodeSystem/audit-event-type",
    "code": "rest",
    "display": "RESTful Operation",
}
_OUTCOMES: Final = {Outcome.DONE: "0", Outcome.REFUSED: "4", Outcome.FAILED: "8"}
"""http://hl7.org/fhir/audit-event-outcome: success, minor failure, serious failure."""
_CREATES: Final = frozenset(
    {
        Action.UPLOAD,
        Action.ACCOUNT_CREATE,
        Action.STUDY_CREATE,
        Action.SUBJECT_ENROL,
        Action.DEVICE_TOKEN_CREATE,
        Action.ENROLMENT_CREATE,
    }
)
_READS: Final = frozenset(
    {Action.DOWNLOAD, Action.AUDIT_EXPORT, *(one for one in Action if one.endswith("-read"))}
)
_DELETES: Final = frozenset(
    {
        Action.ACCOUNT_CLOSE,
        Action.AUDIT_PRUNE,
        Action.DEVICE_TOKEN_REVOKE,
        Action.ENROLMENT_CANCEL,
        Action.MEMBER_REMOVE,
        Action.UPLOADS_FORGET,
    }
)


def json_line(link: Link, stored: StoredEvent) -> str:
    """
    Return an event and its link as one line of JSON.

    `canonical` is the text that the hash covers, so that a reader can verify the chain.
    """
    named: dict[str, object] = {"position": link.position, **as_json(stored)}
    return json.dumps(named | {"hash": link.hash, "canonical": canonical(stored)})


def fhir_line(link: Link, stored: StoredEvent) -> str:
    """Return an event as one AuditEvent resource of FHIR R4, on one line."""
    return json.dumps(audit_event(link, stored))


def audit_event(link: Link, stored: StoredEvent) -> dict[str, Any]:
    """Return the AuditEvent resource of an event."""
    event = stored.event
    resource: dict[str, Any] = {
        "resourceType": "AuditEvent",
        "id": str(stored.number),
        "type": _TYPE,
        "subtype": [{"system": f"{_SYSTEM}action", "code": event.action.value}],
        "action": _action(event.action),
        "recorded": as_json(stored)["occurred_at"],
        "outcome": _OUTCOMES[event.outcome],
        "agent": [_agent(event)],
        "source": {"observer": {"display": "HealthIngest"}},
    }
    entities = [
        _entity("position", str(link.position)),
        *(
            _entity(name, value)
            for name, value in (
                ("object", event.object_id),
                ("study", event.study),
                ("subject-hash", event.subject_hash),
                ("email-hash", event.email_hash),
                ("reason", event.reason),
                ("correlation", event.correlation_id),
            )
            if value is not None
        ),
    ]
    return resource | {"entity": entities}


def _action(action: Action) -> str:
    """Return the code of http://hl7.org/fhir/audit-event-action."""
    codes = {"C": _CREATES, "R": _READS, "D": _DELETES}
    return next((code for code, actions in codes.items() if action in actions), "E")


def _agent(event: AuditEvent) -> dict[str, Any]:
    role = {"coding": [{"system": f"{_SYSTEM}actor", "code": event.actor.value}]}
    agent: dict[str, Any] = {"type": role, "requestor": True}
    if event.account_id is not None:
        agent["who"] = _identified("account", str(event.account_id))
    if event.token_id is not None:
        agent["altId"] = event.token_id
    return agent


def _entity(name: str, value: str) -> dict[str, Any]:
    return {"what": _identified(name, value)}


def _identified(name: str, value: str) -> dict[str, Any]:
    return {"identifier": {"system": f"{_SYSTEM}{name}", "value": value}}
