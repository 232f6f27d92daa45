"""For how long something counts as good."""

from dataclasses import dataclass

from healthingest_operator.adapters.recently import SOUND_SECONDS, Recently


@dataclass
class Ticks:
    """A monotonic clock that stands still until told."""

    seconds: float = 100.0


def test_what_was_sound_is_so_for_some_seconds() -> None:
    """Just what was asked, and not the same words divided in another way."""
    ticks = Ticks()
    recently = Recently(lambda: ticks.seconds)
    assert not recently.was_sound("a", "b")
    recently.is_sound("a", "b")
    ticks.seconds += SOUND_SECONDS - 1
    assert recently.was_sound("a", "b")
    assert not recently.was_sound("ab")
    assert not recently.was_sound("a", "c")
    ticks.seconds += 1
    assert not recently.was_sound("a", "b")


def test_what_is_old_is_not_kept_and_what_was_changed_is_forgotten() -> None:
    """There is no more in it than was asked within these seconds."""
    ticks = Ticks()
    recently = Recently(lambda: ticks.seconds)
    recently.is_sound("a")
    ticks.seconds += SOUND_SECONDS
    recently.is_sound("b")
    assert len(recently._sound) == 1
    recently.forget()
    assert not recently.was_sound("b")
