"""Redaction by place, by value and by form."""

import base64
from typing import Any

import pytest

from healthingest_contract.stop_causes import StopCause, stop_line
from healthingest_plugin.redaction import (
    REDACTED,
    Redactor,
    forms_of,
    values_of_secret,
    values_of_spec,
)

SIGNED = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl"
KEY = "-----BEGIN PRIVATE KEY-----\nQUJDREVG\n-----END PRIVATE KEY-----"


@pytest.mark.parametrize(
    "text",
    [
        "amqp://relay:hush@mq:5672/clinic",
        "ada.lovelace+study@clinic.example",
        f"Authorization: Bearer {SIGNED}",
        f"token {SIGNED}",
        "Basic aHVzaDpodXNo",
        KEY,
        "AKIAIOSFODNN7EXAMPLE",
        'password="hush hush"',
        "secretAccessKey: hushhush",
        "api_key=hushhush&x=1",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY12",
    ],
)
def test_secrets_are_recognised_by_their_form(text: str) -> None:
    """Logins, tokens, keys and e-mail addresses; what stands around them stays."""
    redacted = Redactor().text(f"before {text} after")
    assert REDACTED in redacted
    assert redacted.startswith("before ")
    for secret in ("hush@", "ada.lovelace", "eyJ", "aHVza", "QUJD", "AKIAI", "hushhush", "wJalr"):
        assert secret not in redacted


@pytest.mark.parametrize(
    "text",
    [
        "image registry.example/service@sha256:" + "0123456789abcdef" * 4,
        "pod clinic-api-7d9f8b6c5d-x2x4z of Deployment clinic-api",
        "2026-01-01T00:00:00Z GET /v1/uploads/018f3b6a-7c1e-7d3a-9a54-0123456789ab 200",
    ],
)
def test_plain_texts_stay(text: str) -> None:
    """Names, digests, times and ids are what a report is read for."""
    assert Redactor().text(text) == text


def test_values_of_secrets_go_wherever_they_occur() -> None:
    """Also as base64, as a line of several, and as the password in an address."""
    encoded = {
        "url": base64.b64encode(b"postgresql://u:p%40ss-word@db:5432/x\n").decode(),
        "plain": base64.b64encode(b"correct horse").decode(),
        "lines": base64.b64encode(b"first line\nsecond line\n").decode(),
    }
    redactor = Redactor(values_of_secret({"data": encoded}))
    text = "p@ss-word p%40ss-word correct horse second line " + encoded["plain"]
    assert redactor.text(text) == " ".join([REDACTED] * 5)
    assert "db:5432" not in redactor.text("postgresql://u:p%40ss-word@db:5432/x")


def test_short_values_stay() -> None:
    """A value such as `a` occurs in every word."""
    assert Redactor({"a", "abc"}).text("abcd") == "abcd"
    assert forms_of("") == set()


def test_objects_are_redacted_by_place() -> None:
    """Keys stay, values of variables, ConfigMaps, annotations and settings go."""
    container = {
        "name": "api",
        "env": [
            {"name": "A", "value": "plain"},
            {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        ],
        "args": ["api", "--key=plain"],
    }
    ended = {"exitCode": 1, "message": f"plain\n{stop_line(StopCause.DATABASE_FULL)}"}
    found: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "p",
            "annotations": {"a": "plain", "healthingest.dev/desired": "0123"},
            "managedFields": [{"manager": "plain"}],
        },
        "data": {"k": "plain"},
        "spec": {"settings": {"S": "plain"}, "containers": [container]},
        "status": {"containerStatuses": [{"state": {"terminated": ended}}]},
    }
    redacted = Redactor().manifest(found)
    assert "plain" not in str(redacted)
    assert redacted["metadata"]["annotations"]["healthingest.dev/desired"] == "0123"
    assert redacted["spec"]["containers"][0]["args"] == ["api", REDACTED]
    assert redacted["spec"]["containers"][0]["env"][1]["valueFrom"]["secretKeyRef"]["name"] == "s"
    terminated = redacted["status"]["containerStatuses"][0]["state"]["terminated"]
    assert terminated["message"] == "healthingest-cause: database-full"


def test_values_of_a_spec_are_those_that_people_write() -> None:
    """Long ones: a short one is a word."""
    spec = {
        "settings": {"A": "a-long-value"},
        "podAnnotations": {"b": "another-value", "c": "short"},
        "ingress": {"annotations": {"d": "third-value"}},
    }
    assert values_of_spec(spec) == {"a-long-value", "another-value", "third-value"}
