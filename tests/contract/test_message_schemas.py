"""JSON Schemas and the AsyncAPI document say what the messages are."""

import json
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator, FormatChecker

from healthingest_contract import message_schemas
from healthingest_contract.message_schemas import ERASED, MESSAGES, STORED, Message
from healthingest_contract.topology import erased_routing_key, routing_key

NAMES = [message.name for message in MESSAGES]


def errors(schema: dict[str, Any], document: object) -> list[str]:
    """Return what both drafts find wrong."""
    return [
        error.message
        for kind in (Draft7Validator, Draft202012Validator)
        for error in kind(schema, format_checker=FormatChecker()).iter_errors(document)
    ]


@pytest.mark.parametrize("message", MESSAGES, ids=NAMES)
def test_the_fields_are_those_of_the_class(message: Message) -> None:
    """Neither more nor less, and each with a description."""
    assert set(message.properties) == message_schemas.body_fields(message)
    assert all(schema["description"] for schema in message.properties.values())


@pytest.mark.parametrize("message", MESSAGES, ids=NAMES)
def test_what_is_sent_is_valid(message: Message) -> None:
    """The body and the headers of the example are made as the service makes them."""
    schema = message_schemas.schema_file(message)
    for kind in (Draft7Validator, Draft202012Validator):
        kind.check_schema(schema)
    assert errors(schema, json.loads(message.example.to_bytes())) == []
    headers = message_schemas.example_headers(message)
    assert errors(message_schemas.headers_schema(message), headers) == []


@pytest.mark.parametrize("message", MESSAGES, ids=NAMES)
def test_anything_else_is_invalid(message: Message) -> None:
    """A missing field, another type, or another kind of message; an unknown field is fine."""
    schema = message_schemas.schema_file(message)
    good = message_schemas.example_body(message)
    assert errors(schema, good | {"new": 1}) == []
    for name in good:
        assert errors(schema, {key: value for key, value in good.items() if key != name}), name
        assert errors(schema, good | {name: []}), name
    other = ERASED if message is STORED else STORED
    headers = message_schemas.example_headers(other)
    assert errors(message_schemas.headers_schema(message), headers)


def test_the_channels_have_our_routing_keys() -> None:
    """With the record type in lower case."""
    channels = message_schemas.asyncapi_document("1")["channels"]
    for message, key in ((STORED, routing_key), (ERASED, erased_routing_key)):
        address = channels[message.name]["address"]
        assert address.replace("{recordType}", "sleeprecord") == key("SleepRecord")


def test_each_reference_leads_somewhere() -> None:
    """Inside of the document."""
    document = message_schemas.asyncapi_document("1")
    found = []

    def follow(part: object) -> None:
        if isinstance(part, dict):
            if "$ref" in part:
                found.append(part["$ref"])
            for one in part.values():
                follow(one)
        elif isinstance(part, list):
            for one in part:
                follow(one)

    follow(document)
    assert found
    for reference in found:
        here: Any = document
        for step in reference.removeprefix("#/").split("/"):
            here = here[step]
        assert here
