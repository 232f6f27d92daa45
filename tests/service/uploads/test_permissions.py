"""Who may read an upload."""

from dataclasses import replace
from itertools import chain, combinations

import pytest

from healthingest_service.identity.model import Binding, Principal, Scope
from healthingest_service.studies.model import DEFAULT_STUDY, NO_STANDING, Role, Standing
from healthingest_service.uploads.permissions import may_read, may_report
from support.studies import SLUG
from support.uploads import owner, upload

OF_STUDY = replace(upload(), study=SLUG)
READER = Principal(OF_STUDY.owner, frozenset({Scope.UPLOAD_READ}), "token")
OTHER = replace(READER, account_id=owner())
ROLES = [
    frozenset(roles) for roles in chain.from_iterable(combinations(Role, size) for size in range(4))
]


def test_the_owner_may_read() -> None:
    """With the scope to read."""
    assert may_read(READER, OF_STUDY, NO_STANDING)
    writer = replace(READER, scopes=frozenset({Scope.UPLOAD_WRITE}))
    assert not may_read(writer, OF_STUDY, NO_STANDING)


@pytest.mark.parametrize("is_admin", [False, True])
@pytest.mark.parametrize("roles", ROLES, ids=lambda roles: "+".join(sorted(roles)) or "none")
def test_readers_and_managers_of_the_study_may(roles: frozenset[Role], *, is_admin: bool) -> None:
    """An administrator without a role may not, and nobody in the study `default`."""
    standing = Standing(roles, is_admin)
    assert may_read(OTHER, OF_STUDY, standing) == bool(roles & {Role.READER, Role.MANAGER})
    assert not may_read(OTHER, replace(OF_STUDY, study=DEFAULT_STUDY), standing)


@pytest.mark.parametrize("is_admin", [False, True])
@pytest.mark.parametrize("roles", ROLES, ids=lambda roles: "+".join(sorted(roles)) or "none")
def test_readers_and_administrators_report(roles: frozenset[Role], *, is_admin: bool) -> None:
    """With the scope of reports; the owner may not, and nobody else in the study `default`."""
    standing = Standing(roles, is_admin)
    reports = replace(READER, scopes=frozenset({Scope.OUTCOME_WRITE}))
    allowed = is_admin or bool(roles & {Role.READER, Role.MANAGER})
    assert may_report(reports, OF_STUDY, standing) == allowed
    assert may_report(reports, replace(OF_STUDY, study=DEFAULT_STUDY), standing) == is_admin
    assert not may_report(READER, OF_STUDY, standing)
    assert not may_report(replace(reports, binding=Binding(SLUG)), OF_STUDY, standing)


def test_a_bound_token_reads_its_own_uploads_only() -> None:
    """Whatever the roles of its account are."""
    bound = replace(OTHER, binding=Binding(SLUG))
    assert not may_read(bound, OF_STUDY, Standing(frozenset(Role)))
    assert may_read(replace(bound, account_id=OF_STUDY.owner), OF_STUDY, NO_STANDING)
