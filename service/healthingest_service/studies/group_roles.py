"""
Roles that follow from groups at an identity provider, beside those that a manager gives.

Each token says which groups its user has. The newest token counts: roles of groups that it lacks
are removed, and roles that a manager gave stay.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from typing_extensions import override

from healthingest_service.audit.model import Action, ActorKind, AuditEvent, Outcome
from healthingest_service.identity.errors import IdentityUnavailableError
from healthingest_service.identity.model import AccountId
from healthingest_service.identity.oidc import ExternalCaller, Issuer
from healthingest_service.identity.ports import GroupMemberships
from healthingest_service.studies.errors import StudiesUnavailableError
from healthingest_service.studies.model import Membership, Role, StudySlug


@dataclass(frozen=True, slots=True)
class GroupRule:
    """The roles in a study that a group gives."""

    group: str
    study: StudySlug
    roles: frozenset[Role]


Wanted = Mapping[StudySlug, frozenset[Role]]


def roles_of(groups: frozenset[str], rules: Iterable[GroupRule]) -> Wanted:
    """Return the roles that *groups* give, by study."""
    found: dict[StudySlug, frozenset[Role]] = {}
    for rule in rules:
        if rule.group in groups:
            found[rule.study] = found.get(rule.study, frozenset()) | rule.roles
    return found


def changes_of(existing: Mapping[StudySlug, Membership], wanted: Wanted) -> list[StudySlug]:
    """Return the studies, sorted, in which the roles of groups differ from *wanted*."""
    return sorted(
        study
        for study in existing.keys() | wanted.keys()
        if (existing[study].by_group if study in existing else frozenset())
        != wanted.get(study, frozenset())
    )


def change_event(change: Membership, at: datetime) -> AuditEvent:
    """Return the event of a changed membership; the service itself is the actor."""
    return AuditEvent(
        occurred_at=at,
        actor=ActorKind.SYSTEM,
        action=Action.MEMBER_CHANGE
        if change.by_manager | change.by_group
        else Action.MEMBER_REMOVE,
        outcome=Outcome.DONE,
        object_id=str(change.account_id),
        study=change.study,
    )


class GroupRoles(Protocol):
    """The roles of groups. Both methods raise `StudiesUnavailableError` without a clear answer."""

    async def has_group_roles(self, account_id: AccountId) -> bool:
        """Return whether the account has a role from a group in any study."""
        ...

    async def put_group_roles(
        self,
        account_id: AccountId,
        wanted: Wanted,
        *,
        as_of: datetime,
        event: Callable[[Membership], AuditEvent],
    ) -> Sequence[Membership]:
        """
        Give an account exactly these roles of groups, record each change, and return the changes.

        Roles that a manager gave stay. Nothing changes if a call with a later *as_of* came before,
        or if the account does not exist; studies that do not exist are ignored. Calling twice is
        safe.
        """
        ...


class FollowGroups(GroupMemberships):
    """Follows the groups of users, with the rules of each issuer by its URL."""

    def __init__(
        self,
        rules: Mapping[str, Sequence[GroupRule]],
        roles: GroupRoles,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._rules = rules
        self._roles = roles
        self._clock = clock

    @override
    async def follow(self, issuer: Issuer, user: ExternalCaller) -> None:
        rules = self._rules.get(issuer.url, ())
        groups = user.groups if issuer.admits(user.groups) else frozenset()
        try:
            # Without rules, roles of former rules are removed.
            if rules or await self._roles.has_group_roles(user.account_id):
                await self._roles.put_group_roles(
                    user.account_id,
                    roles_of(groups, rules),
                    as_of=user.issued_at,
                    event=lambda change: change_event(change, self._clock()),
                )
        except StudiesUnavailableError as error:
            raise IdentityUnavailableError from error
