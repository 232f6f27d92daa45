"""The port `EnrolmentCodes` with the database."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from healthingest_service.adapters.database import rows
from healthingest_service.adapters.database.account_tables import (
    AccountRow,
    DeviceTokenRow,
    EnrolmentCodeRow,
)
from healthingest_service.adapters.database.accounts import DEVICE_DOMAIN, external_account
from healthingest_service.adapters.database.audit import audit_values
from healthingest_service.adapters.database.audit_tables import AuditEventRow
from healthingest_service.adapters.database.device_tokens import (
    scopes_of,
    scopes_text,
    token_of,
    token_values,
)
from healthingest_service.adapters.database.engine import transaction_raising
from healthingest_service.adapters.database.study_tables import StudyMemberRow
from healthingest_service.audit.model import AuditEvent
from healthingest_service.identity.device_tokens import DeviceToken
from healthingest_service.identity.enrolment_codes import (
    KEPT,
    MAX_CODES,
    EnrolmentCode,
    EnrolmentCodeId,
)
from healthingest_service.identity.errors import (
    IdentityUnavailableError,
    InvalidEnrolmentCodeError,
)
from healthingest_service.identity.model import Binding
from healthingest_service.studies.model import Role

_CODE: Final = EnrolmentCodeRow.__table__.c
_TOKEN: Final = DeviceTokenRow.__table__.c


class DatabaseEnrolmentCodes:
    """Enrolment codes in the database."""

    def __init__(self, engine: AsyncEngine, *, timeout_seconds: float) -> None:
        self._engine = engine
        self._timeout_seconds = timeout_seconds

    async def count_open(self, study: str, *, at: datetime) -> int:
        """See `EnrolmentCodes.count_open`; it stops at `MAX_CODES`."""
        wanted = (
            select(_CODE.id)
            .where(_CODE.study == study, _CODE.expires_at > at, _CODE.token_id.is_(None))
            .limit(MAX_CODES)
        )
        async with self._transaction(writes=False, study=study) as connection:
            counted = await connection.scalar(select(func.count()).select_from(wanted.subquery()))
        return counted or 0

    async def add(
        self, code: EnrolmentCode, code_hash: str, event: AuditEvent | None = None
    ) -> None:
        """See `EnrolmentCodes.add`."""
        lifetime = code.token_lifetime
        row = insert(EnrolmentCodeRow).values(
            id=code.id,
            code_hash=code_hash,
            study=code.binding.study,
            subject=code.binding.subject,
            scopes=scopes_text(code.scopes),
            token_seconds=None if lifetime is None else int(lifetime.total_seconds()),
            created_at=code.created_at,
            expires_at=code.expires_at,
        )
        async with self._transaction(study=code.binding.study) as connection:
            await connection.execute(row)
            if event is not None:
                await connection.execute(insert(AuditEventRow).values(audit_values(event)))

    async def remove(self, study: str, code_id: EnrolmentCodeId) -> None:
        """See `EnrolmentCodes.remove`."""
        gone = delete(EnrolmentCodeRow).where(_CODE.id == code_id, _CODE.study == study)
        async with self._transaction(study=study) as connection:
            await connection.execute(gone)

    async def redeem(
        self,
        code_hash: str,
        token_for: Callable[[EnrolmentCode], DeviceToken],
        token_hash: str,
        *,
        at: datetime,
    ) -> DeviceToken:
        """See `EnrolmentCodes.redeem`."""
        wanted = select(EnrolmentCodeRow.__table__).where(_CODE.code_hash == code_hash)
        async with self._transaction() as connection:
            row = (await connection.execute(wanted.with_for_update())).one_or_none()
            if row is None:
                raise InvalidEnrolmentCodeError
            if row.token_id is not None:
                return await _redeemed_token(connection, row, token_hash, at)
            if row.expires_at <= at:
                raise InvalidEnrolmentCodeError
            token = token_for(_code_of(row))
            await _add_device(connection, token, token_hash)
            await connection.execute(
                update(EnrolmentCodeRow).where(_CODE.id == row.id).values(token_id=token.id)
            )
        return token

    async def forget_expired(self, *, before: datetime, limit: int) -> int:
        """See `EnrolmentCodes.forget_expired`."""
        async with self._transaction(single=True) as connection:
            gone = await rows.remove_oldest(
                connection,
                EnrolmentCodeRow,
                _CODE.expires_at < before - KEPT,
                oldest_first=_CODE.expires_at,
                limit=limit,
            )
        return len(gone)

    def _transaction(
        self, *, writes: bool = True, single: bool = False, study: str | None = None
    ) -> AbstractAsyncContextManager[AsyncConnection]:
        return transaction_raising(
            IdentityUnavailableError,
            self._engine,
            timeout_seconds=self._timeout_seconds,
            writes=writes,
            single=single,
            study=study,
        )


async def _redeemed_token(
    connection: AsyncConnection, code: Row[Any], token_hash: str, at: datetime
) -> DeviceToken:
    """
    Return the token for which *code* was exchanged.

    Raises:
        InvalidEnrolmentCodeError: it has another hash, or is not valid any more.
    """
    wanted = select(DeviceTokenRow.__table__).where(
        _TOKEN.id == code.token_id, _TOKEN.token_hash == token_hash
    )
    row = (await connection.execute(wanted)).one_or_none()
    token = None if row is None else token_of(row)
    if token is None or not token.is_valid(at):
        raise InvalidEnrolmentCodeError
    return token


async def _add_device(connection: AsyncConnection, token: DeviceToken, token_hash: str) -> None:
    account = external_account(token.account_id, DEVICE_DOMAIN)
    await connection.execute(insert(AccountRow).values(account))
    if token.binding is not None:
        member = {
            "study": token.binding.study,
            "account_id": token.account_id,
            "role": Role.UPLOADER.value,
        }
        await connection.execute(insert(StudyMemberRow).values(member))
    await connection.execute(insert(DeviceTokenRow).values(token_values(token, token_hash)))


def _code_of(row: Row[Any]) -> EnrolmentCode:
    seconds = row.token_seconds
    return EnrolmentCode(
        id=EnrolmentCodeId(row.id),
        binding=Binding(row.study, row.subject),
        scopes=scopes_of(row.scopes),
        token_lifetime=None if seconds is None else timedelta(seconds=seconds),
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
