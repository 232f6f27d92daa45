"""
Kubernetes quantities: `500m` and `0.5` are the same.

Source: Kubernetes API reference, "Quantity".
"""

import re
from decimal import Decimal
from typing import Final

_QUANTITY: Final = re.compile(
    r"([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?\d+)?"
)
_SUFFIXES: Final = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{
        letter: Decimal(1000) ** power
        for power, letter in enumerate(("", "k", "M", "G", "T", "P", "E"))
    },
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", start=1)},
}


def same_quantity(left: object, right: object) -> bool:
    """Whether both are quantities and equal."""
    values = [_read(str(side)) for side in (left, right)]
    return values[0] is not None and values[0] == values[1]


def _read(text: str) -> Decimal | None:
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return None
    suffix = match[2] or ""
    try:
        return Decimal(match[1]) * (
            _SUFFIXES[suffix] if suffix in _SUFFIXES else Decimal(f"1{suffix}")
        )
    except ArithmeticError:
        return None  # a hexadecimal digest may look like a number with a huge exponent
