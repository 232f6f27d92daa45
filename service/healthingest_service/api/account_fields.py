"""The fields of accounts in requests and responses."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import PydanticCustomError
from starlette.responses import JSONResponse, Response

from healthingest_service.identity.email_address import (
    EMAIL_MAX_CHARACTERS,
    InvalidEmailError,
    normal_email,
)
from healthingest_service.identity.model import Account
from healthingest_service.identity.registration import (
    PASSWORD_MAX_CHARACTERS,
    PASSWORD_MIN_CHARACTERS,
    is_printable,
)


def printable(name: str) -> str:
    """Return *name* if it has only printable characters, for a field of a model."""
    if not is_printable(name):
        code = "unprintable_characters"
        raise PydanticCustomError(
            code, "must not contain control characters or text direction characters"
        )
    return name


def _email(text: str) -> str:
    try:
        return normal_email(text)
    except InvalidEmailError:
        code = "invalid_email"
        raise PydanticCustomError(code, "must be an e-mail address") from None


Email = Annotated[
    str,
    Field(max_length=EMAIL_MAX_CHARACTERS, json_schema_extra={"format": "email"}),
    AfterValidator(_email),
]
Name = Annotated[str, Field(max_length=100), AfterValidator(printable)] | None
NewPasswordText = Annotated[
    str,
    Field(
        repr=False,
        json_schema_extra={
            "minLength": PASSWORD_MIN_CHARACTERS,
            "maxLength": PASSWORD_MAX_CHARACTERS,
        },
    ),
]


class AccountView(BaseModel):
    """An account."""

    id: UUID
    email: str
    first_name: str | None
    last_name: str | None
    is_active: bool
    is_verified: bool
    created_at: datetime
    updated_at: datetime


def account_answer(account: Account, status: int = 200) -> Response:
    """Return the response with *account*."""
    view = AccountView.model_validate(account, from_attributes=True)
    return JSONResponse(view.model_dump(mode="json"), status)
