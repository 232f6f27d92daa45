import json
from dataclasses import replace

from healthingest_service.audit.chain import START, canonical, extended, next_hash
from healthingest_service.audit.export import audit_event, fhir_line, json_line
from healthingest_service.audit.model import Action, Outcome, StoredEvent
from support.audit import event

STORED = StoredEvent(7, event(1))
(LINK,) = extended(None, [STORED])


def test_a_line_of_json_can_be_verified() -> None:
    """It has the canonical form and the hash, beside the fields."""
    read = json.loads(json_line(LINK, STORED))
    assert read["canonical"] == canonical(STORED)
    assert read["hash"] == next_hash(START, read["position"], read["canonical"])
    assert (read["number"], read["action"]) == (7, "upload")


def test_a_resource_has_what_fhir_requires() -> None:
    """Type, time, an agent and the source (cardinality 1 and more), and codes of FHIR."""
    resource = json.loads(fhir_line(LINK, STORED))
    assert resource["resourceType"] == "AuditEvent"
    assert resource["type"]["code"] == "rest"
    assert resource["recorded"] == "2026-03-01T12:00:00.000000Z"
    assert [agent["requestor"] for agent in resource["agent"]] == [True]
    assert resource["source"]["observer"] == {"display": "HealthIngest"}
    assert (resource["action"], resource["outcome"]) == ("C", "0")
    values = [entity["what"]["identifier"]["value"] for entity in resource["entity"]]
    assert values == ["1", "object 1", "correlation"]


def test_every_action_and_outcome_has_a_code() -> None:
    """A value that somebody adds is exported, too."""
    for action in Action:
        for outcome in Outcome:
            one = StoredEvent(1, replace(event(), action=action, outcome=outcome))
            resource = audit_event(LINK, one)
            assert resource["action"] in {"C", "R", "D", "E"}
            assert resource["outcome"] in {"0", "4", "8"}
