"""The route by which a consumer reports what it has done with an upload."""

from typing import Annotated, Final

from fastapi import APIRouter, Request
from pydantic import Field

from healthingest_contract.outcome_codes import CODE_PATTERN
from healthingest_service.api.dependencies import ApiDeps, Caller
from healthingest_service.api.openapi import problem_answers
from healthingest_service.api.parsed_body import (
    JSON_TYPE,
    ClosedModel,
    described_body,
    json_body,
)
from healthingest_service.api.upload_views import OutcomeView, outcome_view
from healthingest_service.api.uploads import upload_id_of
from healthingest_service.uploads.outcomes import OutcomeState

OUTCOME_ROUTE: Final = "/v1/uploads/{upload_id}/outcome"
_Code = Annotated[str, Field(pattern=f"^{CODE_PATTERN}$")]


class ReportingOutcome(ClosedModel):
    """
    The report of a consumer about an upload.

    `consumer` is the name of the consumer, `reason` a code of its own. Both have 1 to 64 characters
    of `a-z`, `0-9` and `-`. A reason never has values of the file.
    """

    consumer: _Code
    state: OutcomeState
    reason: _Code | None = None


def routes() -> APIRouter:
    """Return the router of this route."""
    router = APIRouter(tags=["uploads"])
    router.add_api_route(
        OUTCOME_ROUTE,
        report_outcome,
        methods=["POST"],
        operation_id="reportOutcome",
        response_model=OutcomeView,
        responses=problem_answers(400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 503),
        openapi_extra=described_body(ReportingOutcome, JSON_TYPE),
    )
    return router


async def report_outcome(
    request: Request, deps: ApiDeps, principal: Caller, upload_id: str
) -> OutcomeView:
    """
    Report that a consumer has processed an upload, or has failed to.

    The answer is the outcome that is kept: `processed` is final, and a repeated report changes
    nothing.
    """
    upload = await deps.report_outcome.find(principal, upload_id_of(upload_id))
    given = await json_body(ReportingOutcome, request, deps)
    kept = await deps.report_outcome(
        upload, consumer=given.consumer, state=given.state, reason=given.reason
    )
    return outcome_view(kept)
