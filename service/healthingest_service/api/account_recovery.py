"""The routes of forgotten passwords and of unverified e-mail addresses."""

from fastapi import APIRouter, Request, Response
from pydantic import Field

from healthingest_service.api.account_fields import Email, NewPasswordText
from healthingest_service.api.api_dependencies import ApiDependencies
from healthingest_service.api.audit_details import details_of
from healthingest_service.api.dependencies import ApiDeps, count, count_address
from healthingest_service.api.openapi import problem_answers
from healthingest_service.api.parsed_body import (
    JSON_TYPE,
    ClosedModel,
    described_body,
    json_body,
)
from healthingest_service.identity.mail import MailPurpose
from healthingest_service.identity.throttling import Charge


class RequestingMail(ClosedModel):
    """The request for a mail to an e-mail address."""

    email: Email


class ResettingPassword(ClosedModel):
    """The token of a mail, and the new password."""

    token: str = Field(repr=False)
    password: NewPasswordText


class Verifying(ClosedModel):
    """The token of a mail."""

    token: str = Field(repr=False)


def routes() -> APIRouter:
    """Return the router of the routes that use mails."""
    router = APIRouter(prefix="/auth", tags=["accounts"])
    for path, handler, operation_id in (
        ("/forgot-password", forgot_password, "forgotPassword"),
        ("/request-verify-token", request_verification, "requestVerification"),
    ):
        router.add_api_route(
            path,
            handler,
            methods=["POST"],
            operation_id=operation_id,
            status_code=202,
            response_class=Response,
            responses=problem_answers(400, 403, 408, 413, 415, 422, 429, 503),
            openapi_extra=described_body(RequestingMail, JSON_TYPE),
        )
    for path, handler, operation_id, body in (
        ("/reset-password", reset_password, "resetPassword", ResettingPassword),
        ("/verify", verify_email, "verifyEmail", Verifying),
    ):
        router.add_api_route(
            path,
            handler,
            methods=["POST"],
            operation_id=operation_id,
            status_code=204,
            responses=problem_answers(400, 408, 413, 415, 422, 429, 503),
            openapi_extra=described_body(body, JSON_TYPE),
        )
    return router


async def forgot_password(request: Request, deps: ApiDeps) -> Response:
    """
    Request a mail with a link to reset the password.

    The answer is the same whether an account has the address or not.
    """
    return await _request_mail(MailPurpose.RESET_PASSWORD, request, deps)


async def request_verification(request: Request, deps: ApiDeps) -> Response:
    """
    Request a mail with a link to verify the e-mail address.

    The answer is the same whether an account has the address or not.
    """
    return await _request_mail(MailPurpose.VERIFY_EMAIL, request, deps)


async def reset_password(request: Request, deps: ApiDeps) -> Response:
    """Set a new password with the token of a mail. All sessions of the account end."""
    await count_address(request, deps, deps.rules.mails_per_address)
    given = await json_body(ResettingPassword, request, deps)
    details_of(request).account_id = await deps.recovery.reset_password(given.token, given.password)
    return Response(status_code=204)


async def verify_email(request: Request, deps: ApiDeps) -> Response:
    """Verify the e-mail address with the token of a mail."""
    await count_address(request, deps, deps.rules.mails_per_address)
    given = await json_body(Verifying, request, deps)
    await deps.recovery.verify_email(given.token)
    return Response(status_code=204)


async def _request_mail(purpose: MailPurpose, request: Request, deps: ApiDependencies) -> Response:
    await count_address(request, deps, deps.rules.mails_per_address)
    given = await json_body(RequestingMail, request, deps)
    await count(request, deps, Charge(deps.rules.mails_per_account, f"mail:{given.email}"))
    details_of(request).email = given.email
    await deps.mails.request(purpose, given.email)
    return Response(status_code=202)
