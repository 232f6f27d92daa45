"""
What a seed stands for.

Half of them are histories of one HealthIngest, the others of disappearances and of two.
"""

from typing import Final

from simulation import disappearing, history, rivals

_KINDS: Final = 4


def replay(seed: int) -> str:
    """
    The history of *seed*, and its digest.

    Raises:
        BrokenPromiseError: the operator broke a promise.
    """
    number, kind = divmod(seed, _KINDS)
    if kind == 1:
        return disappearing.disappear(seed, disappearing.ORDERS[number % len(disappearing.ORDERS)])
    return rivals.rival(seed) if kind == 3 else history.replay(seed)
