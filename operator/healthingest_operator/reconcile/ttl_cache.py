"""What several HealthIngests ask the same of, asked once for all of them within some seconds."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

SHARED_SECONDS: Final = 10.0
"""How old an answer may be."""

_Answer = TypeVar("_Answer")


class Shared:
    """
    Answers of a moment ago, by digests of what was asked: there are passwords in some questions.

    An error is the answer of who asked alone. *now* is in seconds; a clock that is put back shares
    nothing for longer.
    """

    def __init__(self) -> None:
        self._answers: dict[bytes, tuple[float, object]] = {}
        self._tidied = float("-inf")

    async def get(
        self, asked: tuple[str, ...], now: float, ask: Callable[[], Awaitable[_Answer]]
    ) -> _Answer:
        """The answer to this, or a new one."""
        self._tidy(now)
        what = hashlib.sha256(repr(asked).encode()).digest()
        known = self._answers.get(what)
        if known is not None and _is_fresh(known[0], now):
            answer: _Answer = known[1]  # type: ignore[assignment] # what is asked says what is answered
            return answer
        answer = await ask()
        self._answers[what] = (now, answer)
        return answer

    def forget(self) -> None:
        """Something was changed: ask anew."""
        self._answers.clear()

    def _tidy(self, now: float) -> None:
        """
        Nothing is kept for much longer than it is good for.

        There are Secrets among the answers.
        """
        if not 0 <= now - self._tidied < SHARED_SECONDS / 4:
            self._tidied = now
            self._answers = {
                what: known for what, known in self._answers.items() if _is_fresh(known[0], now)
            }


def _is_fresh(then: float, now: float) -> bool:
    return 0 <= now - then < SHARED_SECONDS
