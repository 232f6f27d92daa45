"""The routes of studies and of erasures."""

from collections.abc import AsyncGenerator, Collection, Mapping
from datetime import date, datetime
from typing import Any, Final

from healthingest_client.documents import (
    CoverageRow,
    DeviceToken,
    Enrolment,
    Erasure,
    Gap,
    Json,
    Member,
    Study,
    Subject,
    Upload,
)
from healthingest_client.session import Call, Session, path_of

_WRITE_ONLY: Final = ("upload:write",)
_PAGE: Final = 100
"""The most items that a page may have."""


class StudyCalls:
    """What members of a study do."""

    _session: Session

    async def studies(self) -> AsyncGenerator[Study, None]:
        """Yield the studies in which you have a role."""
        async for study in self._all("/v1/studies", "studies"):
            yield study

    async def get_study(self, study: str) -> Study:
        """Return a study and your roles in it."""
        found: Study = await self._got(_study(study))
        return found

    async def members(self, study: str) -> AsyncGenerator[Member, None]:
        """Yield the members of a study."""
        async for member in self._all(_study(study, "members"), "members"):
            yield member

    async def put_member(self, study: str, account_id: str, roles: Collection[str]) -> Member:
        """Give an account these roles in a study, and no others."""
        path = _study(study, "members", account_id)
        member: Member = await self._put(path, {"roles": list(roles)})
        return member

    async def remove_member(self, study: str, account_id: str) -> None:
        """Remove an account from a study."""
        path = _study(study, "members", account_id)
        await self._session.send(Call(method="DELETE", path=path))

    async def subjects(self, study: str) -> AsyncGenerator[Subject, None]:
        """Yield the subjects of a study."""
        async for subject in self._all(_study(study, "subjects"), "subjects"):
            yield subject

    async def get_subject(self, study: str, subject: str) -> Subject:
        """Return a subject and its consent."""
        found: Subject = await self._got(_study(study, "subjects", subject))
        return found

    async def enrol_subject(self, study: str, subject: str) -> Subject:
        """Enrol a subject."""
        enrolled: Subject = await self._put(_study(study, "subjects", subject), {})
        return enrolled

    async def give_consent(
        self, study: str, subject: str, *, version: str, given_at: datetime
    ) -> Subject:
        """Record the consent of a subject; *given_at* has a time zone."""
        document = {"version": version, "given_at": given_at.isoformat()}
        changed: Subject = await self._put(_study(study, "subjects", subject, "consent"), document)
        return changed

    async def withdraw_subject(self, study: str, subject: str) -> Subject:
        """Record that a subject has left: from now on no upload about it succeeds."""
        changed: Subject = await self._put(_study(study, "subjects", subject, "withdrawal"), None)
        return changed

    async def study_uploads(
        self, study: str, /, **filters: str | int | None
    ) -> AsyncGenerator[Upload, None]:
        """Yield the uploads of a study; filters are `subject`, `record_type` and `day`."""
        async for upload in self._all(_study(study, "uploads"), "uploads", filters):
            yield upload

    async def coverage(
        self,
        study: str,
        /,
        *,
        first_day: date | None = None,
        last_day: date | None = None,
        **filters: str | None,
    ) -> AsyncGenerator[CoverageRow, None]:
        """Yield the counts by day, subject and record type; at most 366 days, default 30."""
        path = _study(study, "coverage")
        async for row in self._rows(path, "coverage", first_day, last_day, filters):
            yield row

    async def gaps(
        self,
        study: str,
        /,
        *,
        first_day: date | None = None,
        last_day: date | None = None,
        **filters: str | None,
    ) -> AsyncGenerator[Gap, None]:
        """Yield the days without uploads; at most 366 days, by default the last 30."""
        path = _study(study, "gaps")
        async for gap in self._rows(path, "gaps", first_day, last_day, filters):
            yield gap

    async def create_enrolment(
        self,
        study: str,
        *,
        subject: str | None = None,
        scopes: Collection[str] = _WRITE_ONLY,
        valid_minutes: int = 24 * 60,
        token_expires_in_days: int | None = 365,
    ) -> Enrolment:
        """Create an enrolment code; only this answer has it. It is not sent twice."""
        document = {
            "subject": subject,
            "scopes": list(scopes),
            "valid_minutes": valid_minutes,
            "token_expires_in_days": token_expires_in_days,
        }
        path = _study(study, "enrolments")
        call = Call(method="POST", path=path, document=document, is_repeatable=False)
        created: Enrolment = await self._session.document(call)
        return created

    async def cancel_enrolment(self, study: str, enrolment_id: str) -> None:
        """Cancel an enrolment code; a token that was made from it stays valid."""
        path = _study(study, "enrolments", enrolment_id)
        await self._session.send(Call(method="DELETE", path=path))

    async def study_tokens(
        self, study: str, *, subject: str | None = None
    ) -> AsyncGenerator[DeviceToken, None]:
        """Yield the device tokens of a study."""
        path = _study(study, "tokens")
        async for token in self._all(path, "tokens", {"subject": subject}):
            yield token

    async def revoke_study_token(self, study: str, token_id: str) -> None:
        """Revoke a device token of a study."""
        path = _study(study, "tokens", token_id)
        await self._session.send(Call(method="DELETE", path=path))

    async def erase_subject(self, study: str, subject: str) -> Erasure:
        """Erase all data of a subject; a repetition returns the same erasure."""
        return await self._erased("POST", _study(study, "subjects", subject, "erasure"))

    async def erase_study(self, study: str) -> Erasure:
        """Erase all data of a study, and close it; a repetition returns the same erasure."""
        return await self._erased("POST", _study(study, "erasure"))

    async def erase_upload(self, upload_id: str) -> Erasure:
        """Erase an upload; a repetition returns the same erasure."""
        return await self._erased("DELETE", path_of("v1", "uploads", upload_id))

    async def get_erasure(self, erasure_id: str) -> Erasure:
        """Return an erasure, with its certificate when it is done."""
        return await self._erased("GET", path_of("v1", "erasures", erasure_id))

    # ANN401: documents of the API
    async def _got(self, path: str) -> Any:  # noqa: ANN401
        return await self._session.document(Call(method="GET", path=path))

    async def _put(self, path: str, document: object) -> Any:  # noqa: ANN401
        return await self._session.document(Call(method="PUT", path=path, document=document))

    async def _erased(self, method: str, path: str) -> Erasure:
        erasure: Erasure = await self._session.document(Call(method=method, path=path))
        return erasure

    async def _all(
        self, path: str, member: str, filters: Mapping[str, str | int | None] | None = None
    ) -> AsyncGenerator[Any, None]:
        """Yield the items of all pages of a list."""
        query = {"limit": _PAGE, **_given(filters or {})}
        while True:
            call = Call(method="GET", path=path, params=query)
            page: Json = await self._session.document(call)
            for item in page[member]:
                yield item
            if page["next_cursor"] is None:
                return
            query["cursor"] = page["next_cursor"]

    async def _rows(
        self,
        path: str,
        member: str,
        first_day: date | None,
        last_day: date | None,
        filters: Mapping[str, str | None],
    ) -> AsyncGenerator[Any, None]:
        """Yield the rows of all pages of coverage or gaps."""
        days = {"first_day": first_day, "last_day": last_day}
        texts = {name: None if day is None else day.isoformat() for name, day in days.items()}
        query = {**filters, **texts}
        while True:
            call = Call(method="GET", path=path, params=_given(query))
            page: Json = await self._session.document(call)
            for row in page[member]:
                yield row
            after = page["next_after"]
            if after is None:
                return
            query |= {
                "after_day": after["day"],
                "after_subject": after["subject"],
                "after_type": after["record_type"],
            }


def _study(*segments: str) -> str:
    return path_of("v1", "studies", *segments)


def _given(values: Mapping[str, str | int | None]) -> dict[str, str | int]:
    return {name: value for name, value in values.items() if value is not None}
