"""The port `EnrolmentCodes`, on SQLite and on PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_service.adapters.database.device_tokens import DatabaseDeviceTokens
from healthingest_service.adapters.database.enrolment_codes import DatabaseEnrolmentCodes
from healthingest_service.adapters.database.studies import DatabaseStudies
from healthingest_service.identity.device_tokens import DeviceToken, DeviceTokenId
from healthingest_service.identity.enrolment_codes import (
    KEPT,
    EnrolmentCode,
    EnrolmentCodeId,
)
from healthingest_service.identity.errors import (
    DeviceTokenNotFoundError,
    InvalidEnrolmentCodeError,
)
from healthingest_service.identity.model import AccountId, Binding, Scope
from healthingest_service.studies.model import NO_STANDING, Role
from support.studies import SLUG, SUBJECT, study

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(name="studies")
async def _studies(engine: AsyncEngine) -> DatabaseStudies:
    studies = DatabaseStudies(engine, timeout_seconds=5)
    await studies.create(study())
    return studies


@pytest.fixture(name="codes")
async def _codes(engine: AsyncEngine, studies: DatabaseStudies) -> DatabaseEnrolmentCodes:
    assert studies
    return DatabaseEnrolmentCodes(engine, timeout_seconds=5)


@pytest.fixture(name="tokens")
def _tokens(engine: AsyncEngine) -> DatabaseDeviceTokens:
    return DatabaseDeviceTokens(engine, timeout_seconds=5)


def new(subject: str | None = SUBJECT) -> EnrolmentCode:
    """A code that is valid for an hour."""
    return EnrolmentCode(
        id=EnrolmentCodeId(uuid4()),
        binding=Binding(SLUG, subject),
        scopes=frozenset({Scope.UPLOAD_WRITE}),
        token_lifetime=24 * HOUR,
        created_at=NOON,
        expires_at=NOON + HOUR,
    )


def token_for(code: EnrolmentCode) -> DeviceToken:
    """A new token by the wish of a code."""
    return DeviceToken(
        id=DeviceTokenId(uuid4()),
        account_id=AccountId(uuid4()),
        name="watch",
        scopes=code.scopes,
        created_at=NOON,
        expires_at=None if code.token_lifetime is None else NOON + code.token_lifetime,
        binding=code.binding,
    )


async def test_a_code_becomes_a_token(
    codes: DatabaseEnrolmentCodes, tokens: DatabaseDeviceTokens, studies: DatabaseStudies
) -> None:
    """Of a new account that may upload into the study, and nothing else."""
    code = new()
    await codes.add(code, "c")
    token = await codes.redeem("c", token_for, "t", at=NOON)
    assert await tokens.find("t") == token
    assert (token.binding, token.scopes) == (code.binding, code.scopes)
    access = await studies.access(token.account_id, SLUG)
    assert access is not None
    assert access.standing == replace(NO_STANDING, roles=frozenset({Role.UPLOADER}))


async def test_a_code_is_exchanged_once(
    codes: DatabaseEnrolmentCodes, tokens: DatabaseDeviceTokens
) -> None:
    """The same token text gets the same token again, until it is revoked; another text nothing."""
    await codes.add(new(), "c")
    token = await codes.redeem("c", token_for, "t", at=NOON)
    with pytest.raises(InvalidEnrolmentCodeError):
        await codes.redeem("c", token_for, "other", at=NOON)
    assert await codes.redeem("c", token_for, "t", at=NOON + 2 * HOUR) == token
    await tokens.revoke_in_study(SLUG, token.id, at=NOON)
    with pytest.raises(InvalidEnrolmentCodeError):
        await codes.redeem("c", token_for, "t", at=NOON)


async def test_of_many_devices_one_gets_the_token(
    codes: DatabaseEnrolmentCodes, tokens: DatabaseDeviceTokens
) -> None:
    """At the same moment, too."""
    await codes.add(new(), "c")
    answers = await asyncio.gather(
        *(codes.redeem("c", token_for, str(n), at=NOON) for n in range(5)), return_exceptions=True
    )
    assert sum(isinstance(one, DeviceToken) for one in answers) == 1
    assert sum(isinstance(one, InvalidEnrolmentCodeError) for one in answers) == 4
    page = await tokens.list_in_study(SLUG, None, at=NOON, limit=10, cursor=None)
    assert len(page.tokens) == 1


async def test_expired_cancelled_and_unknown_codes_are_worth_nothing(
    codes: DatabaseEnrolmentCodes,
) -> None:
    """A code of another study cannot be cancelled."""
    late, cancelled = new(), new()
    await codes.add(late, "late")
    await codes.add(cancelled, "cancelled")
    await codes.remove("other", late.id)
    for _ in range(2):
        await codes.remove(SLUG, cancelled.id)
    for text in ("cancelled", "unknown"):
        with pytest.raises(InvalidEnrolmentCodeError):
            await codes.redeem(text, token_for, "t", at=NOON)
    with pytest.raises(InvalidEnrolmentCodeError):
        await codes.redeem("late", token_for, "t", at=NOON + HOUR)
    assert await codes.redeem("late", token_for, "t", at=NOON)


async def test_open_codes_are_counted(codes: DatabaseEnrolmentCodes) -> None:
    """Neither redeemed nor expired ones, and those of no other study."""
    for number in range(3):
        await codes.add(new(), str(number))
    assert await codes.count_open(SLUG, at=NOON) == 3
    await codes.redeem("0", token_for, "t", at=NOON)
    assert await codes.count_open(SLUG, at=NOON) == 2
    assert await codes.count_open("other", at=NOON) == 0
    assert await codes.count_open(SLUG, at=NOON + HOUR) == 0


async def test_ended_codes_are_forgotten(codes: DatabaseEnrolmentCodes) -> None:
    """A day after they expired, so that a late repetition gets its token."""
    await codes.add(new(), "c")
    assert await codes.forget_expired(before=NOON + HOUR + KEPT, limit=9) == 0
    assert await codes.forget_expired(before=NOON + 2 * HOUR + KEPT, limit=9) == 1
    with pytest.raises(InvalidEnrolmentCodeError):
        await codes.redeem("c", token_for, "t", at=NOON)


async def test_the_tokens_of_a_study_are_listed(
    codes: DatabaseEnrolmentCodes, tokens: DatabaseDeviceTokens
) -> None:
    """By id, in pages, of one subject if asked; revoked and expired ones are not."""
    made = []
    for number, subject in enumerate([SUBJECT, None, "P-9", SUBJECT]):
        await codes.add(new(subject), str(number))
        made.append(await codes.redeem(str(number), token_for, str(number), at=NOON))
    await tokens.revoke_in_study(SLUG, made[3].id, at=NOON)
    valid = sorted(made[:3], key=lambda token: token.id)
    first = await tokens.list_in_study(SLUG, None, at=NOON, limit=2, cursor=None)
    assert first.tokens == tuple(valid[:2])
    rest = await tokens.list_in_study(SLUG, None, at=NOON, limit=2, cursor=first.next_cursor)
    assert (rest.tokens, rest.next_cursor) == (tuple(valid[2:]), None)
    one = await tokens.list_in_study(SLUG, SUBJECT, at=NOON, limit=2, cursor=None)
    assert one.tokens == (made[0],)
    late = await tokens.list_in_study(SLUG, None, at=NOON + 24 * HOUR, limit=2, cursor=None)
    assert late.tokens == ()
    with pytest.raises(DeviceTokenNotFoundError):
        await tokens.revoke_in_study("other", made[0].id, at=NOON)
