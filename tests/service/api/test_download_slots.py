from contextlib import ExitStack
from uuid import UUID

import pytest

from healthingest_service.api.download_slots import DownloadSlots
from healthingest_service.api.problems import RequestRefusedError
from healthingest_service.identity.model import AccountId

ADA, BEN, CAT = (AccountId(UUID(int=number)) for number in range(3))


def test_an_account_and_the_process_have_their_own_slots() -> None:
    """Two of an account, three of all; those that ended make room, and nothing is kept."""
    slots = DownloadSlots(per_account=2, total=3)
    with ExitStack() as stack:
        first = stack.enter_context(ExitStack())
        first.enter_context(slots.taken(ADA))
        stack.enter_context(slots.taken(ADA))
        with pytest.raises(RequestRefusedError, match="too-many-downloads"):
            stack.enter_context(slots.taken(ADA))
        stack.enter_context(slots.taken(BEN))
        with pytest.raises(RequestRefusedError, match="overloaded"):
            stack.enter_context(slots.taken(CAT))
        first.close()
        stack.enter_context(slots.taken(CAT))
    assert slots._taken == {}


def test_a_failed_download_gives_its_slot_back() -> None:
    """Whatever ends it."""
    slots = DownloadSlots(per_account=1, total=1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), slots.taken(ADA):
            raise ZeroDivisionError
