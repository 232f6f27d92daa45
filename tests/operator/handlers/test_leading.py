"""Nobody but the leader comes to the outside."""

from dataclasses import dataclass, field

import pytest

from healthingest_operator.handlers.leading import fenced


class NotTheLeaderError(Exception):
    """What the fence does here, where the process must go on."""


@dataclass
class Outside:
    """A port of the operator's."""

    writes: list[str] = field(default_factory=list)

    async def write(self, what: str, *, times: int = 1) -> int:
        """Note it."""
        self.writes += [what] * times
        return len(self.writes)


async def test_the_leader_passes() -> None:
    """With arguments and answer."""
    asked: list[bool] = []
    outside = Outside()
    port = fenced(outside, lambda: asked.append(True))
    assert await port.write("a", times=2) == 2
    assert await port.write("b") == 3
    assert outside.writes == ["a", "a", "b"]
    assert len(asked) == 2


async def test_who_leads_no_more_does_not_write() -> None:
    """The question comes before the call, each time."""

    def refuse() -> None:
        raise NotTheLeaderError

    outside = Outside()
    with pytest.raises(NotTheLeaderError):
        await fenced(outside, refuse).write("a")
    assert outside.writes == []
