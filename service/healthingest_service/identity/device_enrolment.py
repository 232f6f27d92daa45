"""Creates enrolment codes, and exchanges them for device tokens."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from healthingest_service.audit.model import AuditEvent
from healthingest_service.identity.device_tokens import (
    DeviceToken,
    DeviceTokenId,
    derived_device_token,
    device_token_hash,
    new_device_token,
)
from healthingest_service.identity.enrolment_codes import (
    MAX_CODES,
    EnrolmentCode,
    EnrolmentCodeId,
    code_hash,
    new_code,
    normal_code,
    token_seed,
)
from healthingest_service.identity.errors import InvalidEnrolmentCodeError, TooManyCodesError
from healthingest_service.identity.model import AccountId, Binding, Scope
from healthingest_service.identity.ports import EnrolmentCodes


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEnrolment:
    """The wish for a code; `token_lifetime` None means a token that never expires."""

    binding: Binding
    scopes: frozenset[Scope]
    lifetime: timedelta
    token_lifetime: timedelta | None


class DeviceEnrolment:
    """The use cases of enrolment codes. Each device gets an account of its own."""

    def __init__(self, codes: EnrolmentCodes, *, clock: Callable[[], datetime]) -> None:
        self._codes = codes
        self._clock = clock

    async def create(
        self, new: NewEnrolment, *, event: Callable[[EnrolmentCodeId], AuditEvent] | None = None
    ) -> tuple[EnrolmentCode, str]:
        """
        Create a code; returns it with its text, which is shown only once.

        It is stored together with its *event*, if there is one.

        Raises:
            TooManyCodesError: the study has as many open codes as it may have.
            IdentityUnavailableError: no clear answer; a code that was created expires.
        """
        now = self._clock()
        if await self._codes.count_open(new.binding.study, at=now) >= MAX_CODES:
            raise TooManyCodesError
        text = new_code()
        code = EnrolmentCode(
            id=EnrolmentCodeId(uuid4()),
            binding=new.binding,
            scopes=new.scopes,
            token_lifetime=new.token_lifetime,
            created_at=now,
            expires_at=now + new.lifetime,
        )
        recorded = None if event is None else event(code.id)
        await self._codes.add(code, code_hash(text.replace("-", "")), recorded)
        return code, text

    async def cancel(self, study: str, code_id: EnrolmentCodeId) -> None:
        """
        Remove a code of *study*; a token that it was exchanged for stays. Repeating is safe.

        Raises:
            IdentityUnavailableError: the code may still be valid; repeating is safe.
        """
        await self._codes.remove(study, code_id)

    async def redeem(
        self, text: str, *, name: str, repetition_key: str | None
    ) -> tuple[DeviceToken, str]:
        """
        Exchange a code for a device token; returns it with its text.

        With the same *repetition_key* a repeated call gets the same token, because the text is
        derived from code and key. Without a key a code can be exchanged once.

        Raises:
            InvalidEnrolmentCodeError: the code is unknown, expired or used.
            IdentityUnavailableError: no clear answer; repeat it with the same key.
        """
        code = normal_code(text)
        if code is None:
            raise InvalidEnrolmentCodeError
        token_text = (
            new_device_token()
            if repetition_key is None
            else derived_device_token(token_seed(code, repetition_key))
        )
        now = self._clock()

        def token_for(found: EnrolmentCode) -> DeviceToken:
            lifetime = found.token_lifetime
            return DeviceToken(
                id=DeviceTokenId(uuid4()),
                account_id=AccountId(uuid4()),
                name=name,
                scopes=found.scopes,
                created_at=now,
                expires_at=None if lifetime is None else now + lifetime,
                binding=found.binding,
            )

        token = await self._codes.redeem(
            code_hash(code), token_for, device_token_hash(token_text), at=now
        )
        return token, token_text
