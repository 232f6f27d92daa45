"""
The JSON documents of the API, as they come: later versions may add members.

`docs/reference/api.md` explains them. Times are RFC 3339 texts.
"""

from typing import Any, NotRequired, TypedDict

Json = dict[str, Any]


class Receipt(TypedDict):
    """
    The receipt of an upload: the file is stored, and will be announced.

    A token that may not read uploads gets the first four members only, if the file came in several
    requests.
    """

    status: str
    upload_id: str
    file_size_bytes: int
    file_hash: str
    object_key: NotRequired[str]
    correlation_id: NotRequired[str]
    record_type: NotRequired[str]
    record_count: NotRequired[int]


class Upload(TypedDict):
    """An upload; `state` is `storing`, `stored`, `announced` or `lost`."""

    upload_id: str
    state: str
    object_key: str
    correlation_id: str
    record_type: str
    record_count: int
    file_size_bytes: int
    file_hash: str
    schema_name: str
    schema_fingerprint: str
    received_at: str
    stored_at: str | None
    announced_at: str | None
    study: str
    subject: str


class Account(TypedDict):
    """An account; others than your own have no names."""

    id: str
    email: str
    first_name: str | None
    last_name: str | None


class DeviceToken(TypedDict):
    """A device token; `token` is its text, which only the answer to its creation has."""

    id: str
    name: str
    scopes: list[str]
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    study: str | None
    subject: str | None
    token: NotRequired[str]


class Enrolment(TypedDict):
    """An enrolment code, which only this answer has; `qr` is the text of a QR code."""

    id: str
    code: str
    qr: str
    study: str
    subject: str | None
    expires_at: str


class Provider(TypedDict):
    """An identity provider at which users sign in."""

    name: str
    issuer: str
    authorization_endpoint: str | None
    client_id: str
    redirect_uris: list[str]
    scopes: list[str]


class Study(TypedDict):
    """A study, and your roles in it."""

    slug: str
    name: str
    state: str
    policy: Json
    roles: list[str]
    created_at: str


class Member(TypedDict):
    """An account and its roles in a study."""

    account_id: str
    roles: list[str]
    group_roles: list[str]


class Consent(TypedDict):
    """A consent; `withdrawn_at` is null while it holds."""

    version: str
    given_at: str
    withdrawn_at: str | None


class Subject(TypedDict):
    """A subject of a study and its consent."""

    study: str
    subject: str
    state: str
    consent: Consent | None
    enrolled_at: str
    changed_at: str
    warnings: list[str]


class CoverageRow(TypedDict):
    """The uploads of a day, subject and record type."""

    day: str
    subject: str
    record_type: str
    uploads: int
    records: int
    size_bytes: int


class Gap(TypedDict):
    """Days without an upload; `record_type` is null if the subject sent none at all."""

    subject: str
    record_type: str | None
    first_day: str
    last_day: str
    days: int


class Erasure(TypedDict):
    """An erasure; `certificate` is set when it is done."""

    erasure_id: str
    kind: str
    study: str
    state: str
    requested_at: str
    starts_at: str
    locked_until: str | None
    blocked_until: str | None
    done_at: str | None
    counts: dict[str, int]
    certificate: str | None
    verification_key: Json
