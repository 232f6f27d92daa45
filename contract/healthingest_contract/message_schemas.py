"""
The messages as JSON Schema and as an AsyncAPI document, for programs that generate code from them.

The schemas use what drafts 7 and 2020-12 of JSON Schema have in common: AsyncAPI 3 builds on the
older one. `make messages` writes the files and the page in docs/reference.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from healthingest_contract.events import (
    CONTENT_TYPE,
    ERASED_EVENT_TYPE,
    EVENT_SOURCE,
    EVENT_TYPE,
    TRACEPARENT,
    UploadErased,
    UploadStored,
)
from healthingest_contract.topology import (
    DEFAULT_EXCHANGE,
    ERASED_ROUTING_KEY_PREFIX,
    RECORD_TYPE_PATTERN,
    ROUTING_KEY_PREFIX,
)

JsonObject = dict[str, Any]
ASYNCAPI_VERSION: Final = "3.0.0"
BINDING_VERSION: Final = "0.3.0"
"""Of the AMQP 0-9-1 bindings of AsyncAPI."""
SCHEMA_ID: Final = "https://healthingest.dev/schemas/{name}.v1.schema.json"
_TEXT: Final = {"type": "string"}
_ID: Final = {"type": "string", "format": "uuid"}
_TIME: Final = {"type": "string", "format": "date-time"}
_SHA256: Final = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_COUNT: Final = {"type": "integer", "minimum": 0}
_RECORD_TYPE: Final = {"type": "string", "pattern": f"^{RECORD_TYPE_PATTERN}$"}
_ERASURE_KINDS: Final = ("upload", "subject", "account", "study", "retention")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """
    A kind of message. `name` is that of its schema and its channel.

    `properties` has a schema with a description for each field of the body, in the order of the
    documents.
    """

    name: str
    title: str
    summary: str
    event_type: str
    routing_key_prefix: str
    operation: str
    properties: Mapping[str, JsonObject]
    example: UploadStored | UploadErased


def _field(schema: Mapping[str, Any], description: str) -> JsonObject:
    return {**schema, "description": description}


STORED: Final = Message(
    name="upload-stored",
    title="UploadStored",
    summary="An upload is stored and may be processed. It may be delivered more than once.",
    event_type=EVENT_TYPE,
    routing_key_prefix=ROUTING_KEY_PREFIX,
    operation="announceUpload",
    properties={
        "bucket": _field(_TEXT, "The bucket of the object."),
        "key": _field(_TEXT, "The key of the object in the bucket."),
        "user_id": _field(_ID, "The account that uploaded the file."),
        "study": _field(_TEXT, "The study; `default` if the upload named none."),
        "subject": _field(
            _TEXT,
            "The pseudonym of the person that the file is about, within the study; in the study"
            " `default` the account's id.",
        ),
        "record_type": _field(_RECORD_TYPE, "The name of the record in the writer schema."),
        "record_count": _field(_COUNT, "The number of records in the file."),
        "upload_timestamp_utc": _field(_TIME, "When the file was received: RFC 3339, with `Z`."),
        "correlation_id": _field(_TEXT, "Identifies the first accepted request in logs."),
        "file_size_bytes": _field(_COUNT, "The size of the object."),
        "file_hash": _field(_SHA256, "The SHA-256 of the object."),
        "idempotency_key": _field(
            _ID, "The id of the upload, the same in every delivery: drop repeats by it."
        ),
        "schema_name": _field(_TEXT, "The full name of the writer schema."),
        "schema_fingerprint": _field(
            _SHA256, "The SHA-256 of the writer schema's parsing canonical form."
        ),
    },
    example=UploadStored(
        bucket="healthingest",
        key="raw/SleepRecord/2026/11/24/0f8fad5b-d9cb-469f-a165-70867728950e_20261124_201500_"
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08.avro",
        user_id=UUID("7c9e6679-7425-40de-944b-e07fc1f90ae7"),
        record_type="SleepRecord",
        upload_timestamp_utc=datetime(2026, 11, 24, 20, 15, tzinfo=UTC),
        correlation_id="clinic-0001",
        file_size_bytes=20480,
        file_hash="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        record_count=480,
        idempotency_key="01936a5e-7c00-7abc-8def-0123456789ab",
        schema_name="org.example.records.SleepRecord",
        schema_fingerprint="60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752",
        study="sleep",
        subject="P-0001",
    ),
)
ERASED: Final = Message(
    name="upload-erased",
    title="UploadErased",
    summary="An upload was erased: erase what you have of it. It names no person.",
    event_type=ERASED_EVENT_TYPE,
    routing_key_prefix=ERASED_ROUTING_KEY_PREFIX,
    operation="announceErasure",
    properties={
        "upload_id": _field(
            _ID, "The `idempotency_key` of the message about the stored upload, if one came."
        ),
        "study": _field(_TEXT, "The study of the upload."),
        "record_type": _field(_RECORD_TYPE, "The name of the record in the writer schema."),
        "erased_at": _field(_TIME, "When the object was removed: RFC 3339, with `Z`."),
        "erasure_id": _field(_ID, "The erasure, whose certificate proves it."),
        "reason": _field({"type": "string", "enum": list(_ERASURE_KINDS)}, "Its kind."),
    },
    example=UploadErased(
        upload_id=UUID("01936a5e-7c00-7abc-8def-0123456789ab"),
        study="sleep",
        record_type="SleepRecord",
        erased_at=datetime(2026, 12, 1, 8, 30, tzinfo=UTC),
        erasure_id=UUID("2b9d2a6f-9c0c-4c0e-8a3b-6a4a5d3f1c77"),
        reason="subject",
    ),
)
MESSAGES: Final = (STORED, ERASED)
_HEADERS: Final[Mapping[str, str]] = {
    "cloudEvents:specversion": "The version of CloudEvents, `1.0`.",
    "cloudEvents:id": "The id of the message; a repeated delivery has the same.",
    "cloudEvents:source": f"Where it comes from: `{EVENT_SOURCE}`.",
    "cloudEvents:type": "The kind of the message, with its version.",
    "cloudEvents:subject": "The key of the object, or the id of the erased upload.",
    "cloudEvents:time": "The time in the body.",
    "cloudEvents:datacontenttype": f"`{CONTENT_TYPE}`.",
    TRACEPARENT: "The trace of the upload (W3C Trace Context), if there is one.",
}


def body_schema(message: Message) -> JsonObject:
    """Return the JSON Schema of the body. Later versions may add fields: ignore unknown ones."""
    return {
        "$id": SCHEMA_ID.format(name=message.name),
        "title": message.title,
        "description": message.summary,
        "type": "object",
        "required": list(message.properties),
        "properties": {name: dict(schema) for name, schema in message.properties.items()},
        "additionalProperties": True,
    }


def schema_file(message: Message) -> JsonObject:
    """Return the JSON Schema of the body as a document of its own."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **body_schema(message)}


def headers_schema(message: Message) -> JsonObject:
    """Return the JSON Schema of the headers; other headers may be there, too."""
    properties: dict[str, JsonObject] = {
        name: {"type": "string", "description": text} for name, text in _HEADERS.items()
    }
    properties["cloudEvents:type"]["const"] = message.event_type
    required = [name for name in _HEADERS if name != TRACEPARENT]
    return {"type": "object", "required": required, "properties": properties}


def asyncapi_document(version: str) -> JsonObject:
    """Return the AsyncAPI document of all messages that the service of *version* sends."""
    return {
        "asyncapi": ASYNCAPI_VERSION,
        "info": {
            "title": "HealthIngest messages",
            "version": version,
            "description": "What consumers get from RabbitMQ. Each message is persistent, and is"
            " delivered at least once. The body is JSON; the headers are CloudEvents attributes by"
            " the AMQP binding.",
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            "broker": {
                "host": "{host}:{port}",
                "protocol": "amqp",
                "protocolVersion": "0.9.1",
                "description": "The broker of the installation; its virtual host and its login are"
                " in the Secret for consumers.",
                "variables": {
                    "host": {"default": "rabbitmq.example", "description": "Its address."},
                    "port": {"default": "5672", "description": "5671 with TLS."},
                },
            }
        },
        "channels": {message.name: _channel(message) for message in MESSAGES},
        "operations": {message.operation: _operation(message) for message in MESSAGES},
        "components": {
            "messages": {message.title: _message(message) for message in MESSAGES},
            "schemas": {message.title: body_schema(message) for message in MESSAGES},
        },
    }


def _channel(message: Message) -> JsonObject:
    return {
        "address": f"{message.routing_key_prefix}.{{recordType}}",
        "title": message.title,
        "description": f"Bind a queue with `{message.routing_key_prefix}.#` for all record types.",
        "parameters": {
            "recordType": {"description": "The record type in lower case, such as `sleeprecord`."}
        },
        "messages": {message.title: {"$ref": f"#/components/messages/{message.title}"}},
        "bindings": {
            "amqp": {
                "is": "routingKey",
                "exchange": {
                    "name": DEFAULT_EXCHANGE,
                    "type": "topic",
                    "durable": True,
                    "autoDelete": False,
                },
                "bindingVersion": BINDING_VERSION,
            }
        },
    }


def _operation(message: Message) -> JsonObject:
    return {
        "action": "send",
        "summary": message.summary,
        "channel": {"$ref": f"#/channels/{message.name}"},
        "messages": [{"$ref": f"#/channels/{message.name}/messages/{message.title}"}],
        "bindings": {"amqp": {"deliveryMode": 2, "bindingVersion": BINDING_VERSION}},
    }


def _message(message: Message) -> JsonObject:
    found: JsonObject = {
        "name": message.title,
        "title": message.title,
        "summary": message.summary,
        "contentType": CONTENT_TYPE,
        "headers": headers_schema(message),
        "payload": {"$ref": f"#/components/schemas/{message.title}"},
        "examples": [{"headers": example_headers(message), "payload": example_body(message)}],
    }
    if "correlation_id" in message.properties:
        found["correlationId"] = {"location": "$message.payload#/correlation_id"}
    return found


def example_body(message: Message) -> JsonObject:
    """Return an example of the body, as a consumer reads it."""
    body: JsonObject = json.loads(message.example.to_bytes())
    return {name: body[name] for name in message.properties}


def example_headers(message: Message) -> dict[str, str]:
    """Return an example of the headers."""
    return message.example.cloud_event_headers("8b0d2c4e-3f6a-4c1d-9e7b-5a4f3e2d1c0b")


def body_fields(message: Message) -> set[str]:
    """Return the fields of the class of the message, which are those of its body."""
    return {field.name for field in fields(message.example)}
