"""What has just been found good, for all who ask the same within some seconds."""

import hashlib
from collections.abc import Callable
from typing import Final

SOUND_SECONDS: Final = 10.0


class Recently:
    """Digests of what was asked, and when it was found good; a refusal is not kept. *clock* gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._sound: dict[bytes, float] = {}

    def was_sound(self, *asked: str) -> bool:
        """Whether just this was found good a moment ago."""
        return self._clock() < self._sound.get(_digest(asked), float("-inf")) + SOUND_SECONDS

    def is_sound(self, *asked: str) -> None:
        """It was found good now."""
        now = self._clock()
        self._sound = {key: at for key, at in self._sound.items() if now < at + SOUND_SECONDS}
        self._sound[_digest(asked)] = now

    def forget(self) -> None:
        """Something was changed: ask anew."""
        self._sound.clear()


def _digest(asked: tuple[str, ...]) -> bytes:
    return hashlib.sha256(repr(asked).encode()).digest()
