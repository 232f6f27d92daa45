"""Which roles follow from groups, and what changes with them."""

from typing import Final
from uuid import UUID

from healthingest_service.identity.model import AccountId
from healthingest_service.studies.group_roles import GroupRule, changes_of, roles_of
from healthingest_service.studies.model import Membership, Role, StudySlug

SLEEP: Final = StudySlug("sleep")
HEART: Final = StudySlug("heart")
READER: Final = frozenset({Role.READER})
MANAGER: Final = frozenset({Role.MANAGER})
USER: Final = AccountId(UUID(int=1))
RULES: Final = (
    GroupRule("readers", SLEEP, READER),
    GroupRule("leads", SLEEP, MANAGER),
    GroupRule("leads", HEART, MANAGER),
)


def test_each_group_adds_its_roles() -> None:
    """In its studies; other groups give nothing."""
    assert roles_of(frozenset({"readers", "leads", "x"}), RULES) == {
        SLEEP: READER | MANAGER,
        HEART: MANAGER,
    }
    assert roles_of(frozenset({"x"}), RULES) == {}
    assert roles_of(frozenset({"leads"}), ()) == {}


def test_only_roles_of_groups_are_compared() -> None:
    """A role that a manager gave neither hides one of a group nor counts as one."""
    existing = {
        SLEEP: Membership(SLEEP, USER, by_manager=READER, by_group=MANAGER),
        HEART: Membership(HEART, USER, by_manager=READER),
    }
    assert changes_of(existing, {SLEEP: MANAGER}) == []
    assert changes_of(existing, {SLEEP: MANAGER, HEART: READER}) == [HEART]
    assert changes_of(existing, {}) == [SLEEP]
    assert changes_of({}, {SLEEP: READER}) == [SLEEP]
