"""The text of device tokens: form, checksum, hash."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

from healthingest_service.identity.device_tokens import (
    DeviceToken,
    DeviceTokenId,
    device_token_hash,
    hour_of,
    is_device_token,
    new_device_token,
)
from healthingest_service.identity.model import AccountId, Scope

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TOKEN = DeviceToken(
    id=DeviceTokenId(UUID(int=1)),
    account_id=AccountId(UUID(int=2)),
    name="Ada's watch",
    scopes=frozenset({Scope.UPLOAD_WRITE}),
    created_at=NOON,
)


def test_tokens_differ_and_have_one_form() -> None:
    """A prefix for scanners of source code, letters and digits only, and a hash of 256 bits."""
    texts = {new_device_token() for _ in range(100)}
    assert len(texts) == 100
    assert all(text.startswith("hi_") and text[3:].isalnum() for text in texts)
    assert {len(text) for text in texts} == {52}
    assert all(is_device_token(text) for text in texts)
    assert len({device_token_hash(text) for text in texts}) == 100


def mistyped(text: str) -> Iterator[str]:
    """Yield the text with each character replaced, each left out, and each pair exchanged."""
    for place, character in enumerate(text):
        other = "a" if character != "a" else "b"
        yield text[:place] + other + text[place + 1 :]
        yield text[:place] + text[place + 1 :]
        pair = text[place : place + 2]
        if len(set(pair)) == 2:
            yield text[:place] + pair[::-1] + text[place + 2 :]


def test_a_mistyped_token_is_recognised() -> None:
    """Without a query."""
    text = new_device_token()
    assert not any(is_device_token(wrong) for wrong in mistyped(text))
    for other in ("", "hi_", f"{text}\n", f" {text}", text.upper()):
        assert not is_device_token(other)


def test_a_token_is_valid_until_its_end() -> None:
    """Without an end it is valid until it is revoked."""
    assert TOKEN.is_valid(NOON + timedelta(days=9999))
    ending = DeviceToken(
        id=TOKEN.id,
        account_id=TOKEN.account_id,
        name="w",
        scopes=TOKEN.scopes,
        created_at=NOON,
        expires_at=NOON + timedelta(days=1),
        revoked_at=None,
    )
    assert ending.is_valid(NOON + timedelta(hours=23))
    assert not ending.is_valid(NOON + timedelta(days=1))
    assert "watch" not in repr(TOKEN)


def test_a_use_is_noted_by_the_hour() -> None:
    """Not by the second: it would tell when a person does what."""
    assert hour_of(NOON + timedelta(minutes=59, microseconds=7)) == NOON
