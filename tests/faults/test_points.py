"""A fault waits for its point, strikes once, and is written down before it does."""

import asyncio
from pathlib import Path

import pytest

from healthingest_service.uploads.model import NewObject
from healthingest_service.uploads.ports import Heartbeat, no_heartbeat
from support.fakes import MemoryStore
from support.faults.points import (
    Fault,
    FaultInjectedError,
    Faults,
    Mode,
    Point,
    arm,
    hits,
)
from support.faults.storing import ACCEPTING_STORE, FaultyStore
from support.uploads import sha256


async def test_a_point_without_a_fault_is_passed(tmp_path: Path) -> None:
    """Nothing armed, nothing written."""
    await Faults(tmp_path).at(Point.AFTER_PUT)
    assert hits(tmp_path) == ()


async def test_a_fault_strikes_at_its_point_alone_and_once(tmp_path: Path) -> None:
    """Other points are passed; the second time its own is passed, too."""
    faults = Faults(tmp_path)
    fault = Fault(Point.AFTER_PUT, Mode.RAISE, 0.0)
    arm(tmp_path, fault)
    await faults.at(Point.BEFORE_PUT)
    with pytest.raises(FaultInjectedError):
        await faults.at(Point.AFTER_PUT)
    await faults.at(Point.AFTER_PUT)
    assert hits(tmp_path) == (fault,)


async def test_a_kill_is_written_down_before_it_strikes(tmp_path: Path) -> None:
    """The dead cannot write."""
    seen: list[tuple[Fault, ...]] = []
    arm(tmp_path, Fault(Point.MID_REPLY, Mode.KILL, 0.0))
    await Faults(tmp_path, kill=lambda: seen.append(hits(tmp_path))).at(Point.MID_REPLY)
    assert [fault.mode for fault in seen[0]] == [Mode.KILL]


async def test_a_hang_goes_on_afterwards(tmp_path: Path) -> None:
    """It takes its time, and no other task's."""
    arm(tmp_path, Fault(Point.AFTER_GATE, Mode.HANG, 0.05))
    waiting = asyncio.create_task(Faults(tmp_path).at(Point.AFTER_GATE))
    await asyncio.sleep(0)
    assert not waiting.done()
    await waiting


async def test_of_many_exactly_one_takes_a_fault(tmp_path: Path) -> None:
    """Processes that share the folder share the fault."""
    arm(tmp_path, Fault(Point.AFTER_GATE, Mode.RAISE, 0.0))
    answers = await asyncio.gather(
        *(Faults(tmp_path).at(Point.AFTER_GATE) for _ in range(20)), return_exceptions=True
    )
    assert sum(isinstance(answer, FaultInjectedError) for answer in answers) == 1


@pytest.mark.parametrize("text", ["nowhere kill", "after_put explode", "after_put"])
def test_a_fault_that_does_not_exist_is_refused(text: str) -> None:
    """Rather than waiting for ever."""
    with pytest.raises(ValueError, match=r".+"):
        Fault.parse(text)


async def test_a_store_is_met_in_the_middle_of_a_file(tmp_path: Path) -> None:
    """The path handed on reads as the file does, and passes the point while it is read."""

    class Reader(MemoryStore):
        async def put(self, new: NewObject, *, heartbeat: Heartbeat = no_heartbeat) -> None:
            await heartbeat()
            assert isinstance(new.content, Path)
            with new.content.open("rb") as file:
                self.objects[new.key] = file.read(4)
                self.objects[new.key] += file.read()
            assert len(self.objects[new.key]) == new.size_bytes > len(new.sha256) - 64

    content = b"0123456789"
    inner = Reader()
    (tmp_path / "body").write_bytes(content)
    store = FaultyStore(inner, Faults(tmp_path), ACCEPTING_STORE)
    await store.put(NewObject("key", tmp_path / "body", 10, sha256(content)))
    assert inner.objects == {"key": content}
    arm(tmp_path, Fault(Point.MID_PUT, Mode.RAISE, 0.0))
    with pytest.raises(FaultInjectedError):
        await store.put(NewObject("key", tmp_path / "body", 10, sha256(content)))
    assert inner.objects == {"key": b"0123"}


async def test_a_store_is_met_between_parts(tmp_path: Path) -> None:
    """Each time but the first that it asks whether the upload still lives."""

    class InParts(MemoryStore):
        async def put(self, new: NewObject, *, heartbeat: Heartbeat = no_heartbeat) -> None:
            for _ in range(3):
                await heartbeat()
                self.objects[new.key] = self.objects.get(new.key, b"") + b"."
            assert isinstance(new.content, Path)
            assert (new.content.name, new.size_bytes, len(new.sha256)) == ("body", 10, 64)

    (tmp_path / "body").write_bytes(b"0123456789")
    for point, done in ((Point.BETWEEN_PARTS, b"."), (Point.AFTER_PARTS, b"..")):
        inner = InParts()
        store = FaultyStore(inner, Faults(tmp_path), ACCEPTING_STORE)
        arm(tmp_path, Fault(point, Mode.RAISE, 0.0))
        with pytest.raises(FaultInjectedError):
            await store.put(NewObject("key", tmp_path / "body", 10, sha256(b"0123456789")))
        assert inner.objects == {"key": done}
