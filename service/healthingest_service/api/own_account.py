"""The routes of the own account: names, sessions, password."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from healthingest_service.api.account_fields import (
    AccountView,
    Name,
    NewPasswordText,
    account_answer,
)
from healthingest_service.api.dependencies import ApiDeps, Owner, address_of
from healthingest_service.api.openapi import problem_answers
from healthingest_service.api.parsed_body import (
    JSON_TYPE,
    ClosedModel,
    described_body,
    json_body,
)
from healthingest_service.identity.errors import SessionNotFoundError
from healthingest_service.identity.model import SessionId


class Renaming(ClosedModel):
    """The names to change; a name that is left out stays, null removes it."""

    first_name: Name = None
    last_name: Name = None


class ChangingPassword(ClosedModel):
    """The request to change the password."""

    current_password: str = Field(repr=False)
    new_password: NewPasswordText


class ClosingAccount(ClosedModel):
    """The password that confirms the closing of the account."""

    password: str = Field(repr=False)


class SessionView(BaseModel):
    """
    A login of the account. `refreshed_at` is the hour of the last refresh.

    `is_current` marks the session of the request.
    """

    id: UUID
    created_at: datetime
    refreshed_at: datetime | None
    is_current: bool


class SessionsView(BaseModel):
    """The newest live sessions of the account, at most 100."""

    sessions: list[SessionView]


def routes() -> APIRouter:
    """Return the router of the routes of the own account."""
    router = APIRouter(prefix="/auth", tags=["accounts"])
    router.add_api_route(
        "/me",
        get_own_account,
        methods=["GET"],
        operation_id="getOwnAccount",
        response_model=AccountView,
        responses=problem_answers(401, 403, 429, 503),
    )
    router.add_api_route(
        "/me",
        update_own_account,
        methods=["PATCH"],
        operation_id="updateOwnAccount",
        response_model=AccountView,
        responses=problem_answers(400, 401, 403, 408, 413, 415, 422, 429, 503),
        openapi_extra=described_body(Renaming, JSON_TYPE),
    )
    router.add_api_route(
        "/me",
        close_own_account,
        methods=["DELETE"],
        operation_id="closeOwnAccount",
        status_code=204,
        responses=problem_answers(400, 401, 403, 408, 409, 413, 415, 422, 429, 503),
        openapi_extra=described_body(ClosingAccount, JSON_TYPE),
    )
    router.add_api_route(
        "/change-password",
        change_password,
        methods=["POST"],
        operation_id="changePassword",
        status_code=204,
        responses=problem_answers(400, 401, 403, 408, 413, 415, 422, 429, 503),
        openapi_extra=described_body(ChangingPassword, JSON_TYPE),
    )
    router.add_api_route(
        "/sessions",
        list_sessions,
        methods=["GET"],
        operation_id="listSessions",
        response_model=SessionsView,
        responses=problem_answers(401, 403, 429, 503),
    )
    router.add_api_route(
        "/sessions",
        end_other_sessions,
        methods=["DELETE"],
        operation_id="endOtherSessions",
        status_code=204,
        responses=problem_answers(401, 403, 429, 503),
    )
    router.add_api_route(
        "/sessions/{session_id}",
        end_session,
        methods=["DELETE"],
        operation_id="endSession",
        status_code=204,
        responses=problem_answers(401, 403, 404, 429, 503),
    )
    return router


async def get_own_account(deps: ApiDeps, owner: Owner) -> Response:
    """Return the account of this access token."""
    return account_answer(await deps.account.get(owner))


async def update_own_account(request: Request, deps: ApiDeps, owner: Owner) -> Response:
    """Change the names of the account."""
    given = await json_body(Renaming, request, deps)
    return account_answer(await deps.account.rename(owner, given.model_dump(exclude_unset=True)))


async def close_own_account(request: Request, deps: ApiDeps, owner: Owner) -> Response:
    """
    Close the account for good.

    Its e-mail address, names and password are removed, and its tokens end. Its uploads stay.
    """
    given = await json_body(ClosingAccount, request, deps)
    await deps.account.close(owner, given.password, address=address_of(request, deps))
    return _done()


async def change_password(request: Request, deps: ApiDeps, owner: Owner) -> Response:
    """Change the password. All other sessions of the account end."""
    given = await json_body(ChangingPassword, request, deps)
    await deps.account.change_password(
        owner, given.current_password, given.new_password, address=address_of(request, deps)
    )
    return _done()


async def list_sessions(deps: ApiDeps, owner: Owner) -> Response:
    """Return the newest live sessions of the account."""
    views = [
        SessionView(
            id=one.id,
            created_at=one.created_at,
            refreshed_at=one.refreshed_at,
            is_current=one.id == owner.session_id,
        )
        for one in await deps.account.live_sessions(owner)
    ]
    return JSONResponse(SessionsView(sessions=views).model_dump(mode="json"))


async def end_session(deps: ApiDeps, owner: Owner, session_id: str) -> Response:
    """End a session of the account; its refresh tokens and access tokens are revoked."""
    try:
        wanted = SessionId(UUID(session_id))
    except ValueError:
        raise SessionNotFoundError from None
    await deps.account.end_session(owner, wanted)
    return _done()


async def end_other_sessions(deps: ApiDeps, owner: Owner) -> Response:
    """End all sessions of the account but the one of this access token."""
    await deps.account.end_other_sessions(owner)
    return _done()


def _done() -> Response:
    return Response(status_code=204)
