from contextlib import ExitStack

import pytest

from healthingest_service.api.problems import RequestRefusedError
from healthingest_service.api.upload_slots import UploadSlots

ADA, BEN, CAT = "account:ada", "account:ben", "token:cat"


def test_callers_and_addresses_have_their_own_slots() -> None:
    """Two of a caller, three of an address; those that ended make room, and nothing is kept."""
    slots = UploadSlots(per_account=2, per_address=3)
    with ExitStack() as stack:
        first = stack.enter_context(ExitStack())
        first.enter_context(slots.taken(ADA, "a"))
        stack.enter_context(slots.taken(ADA, "b"))
        with pytest.raises(RequestRefusedError, match="too-many-uploads"):
            stack.enter_context(slots.taken(ADA, "c"))
        stack.enter_context(slots.taken(BEN, "a"))
        stack.enter_context(slots.taken(BEN, "a"))
        with pytest.raises(RequestRefusedError, match="too-many-uploads"):
            stack.enter_context(slots.taken(CAT, "a"))
        first.close()
        stack.enter_context(slots.taken(CAT, "a"))
    assert slots._taken == {}


def test_a_failed_upload_gives_its_slot_back() -> None:
    """Whatever ends it."""
    slots = UploadSlots(per_account=1, per_address=1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), slots.taken(ADA, "a"):
            raise ZeroDivisionError
