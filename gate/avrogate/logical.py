"""
Logical types whose values can be invalid: Avro specification 1.12, "Logical Types".

As the specification demands, an unknown or misplaced logical type is ignored, and the underlying
type is used.
"""

from collections.abc import Mapping
from typing import Any, Final

from avrogate.model import Decimal, Logical, Range, Ranged, Uuid
from avrogate.policy import Policy
from avrogate.results import Code

_DAY_MILLIS: Final = 86_400_000
_FIRST_DAY: Final = -719_162
"""0001-01-01, from 1970-01-01, in the proleptic Gregorian calendar of ISO 8601."""
_LAST_DAY: Final = 2_932_896
"""9999-12-31."""

_MAX_DECIMAL_BYTES: Final = 8 * 1024
"""For a fixed: its value is kept in memory, and 2^(8 * size) computed. It holds 19,000 digits."""

_TIMES: Final[Mapping[tuple[str, str], Range]] = {
    ("int", "time-millis"): Range(Ranged.TIME, 0, _DAY_MILLIS - 1),
    ("long", "time-micros"): Range(Ranged.TIME, 0, _DAY_MILLIS * 1000 - 1),
}
_CALENDAR_UNITS: Final[Mapping[tuple[str, str], int]] = {
    ("int", "date"): 1,
    ("long", "timestamp-millis"): _DAY_MILLIS,
    ("long", "local-timestamp-millis"): _DAY_MILLIS,
    ("long", "timestamp-micros"): _DAY_MILLIS * 1000,
    ("long", "local-timestamp-micros"): _DAY_MILLIS * 1000,
}
"""Units in a day. Nanoseconds are missing: 64 bits only reach the years 1677 to 2262."""


class LogicalError(Exception):
    """The policy does not allow this valid logical type."""

    def __init__(self, code: Code) -> None:
        super().__init__(code)
        self.code = code


def logical(
    kind: str, attributes: Mapping[str, Any], policy: Policy, *, size: int = 0
) -> Logical | None:
    """
    Return the check for values of type *kind*, or None ("fixed" has *size* bytes).

    Raises:
        LogicalError: a decimal has more digits than the policy allows.
    """
    name = attributes.get("logicalType")
    if not isinstance(name, str):
        return None
    if name == "decimal" and kind in {"bytes", "fixed"}:
        return _decimal(kind, attributes, policy, size)
    if name == "uuid" and kind == "string":
        return Uuid()
    if policy.calendar_years_only and (unit := _CALENDAR_UNITS.get((kind, name))):
        return Range(Ranged.CALENDAR, _FIRST_DAY * unit, (_LAST_DAY + 1) * unit - 1)
    return _TIMES.get((kind, name))


def _decimal(kind: str, attributes: Mapping[str, Any], policy: Policy, size: int) -> Decimal | None:
    decimal = _declared(attributes)
    if decimal is None:
        return None
    precision = decimal.precision
    if kind == "fixed" and precision > 3 * size:  # certainly too much: a byte holds 2.4 digits
        return None
    if precision > policy.max_decimal_precision or size > _MAX_DECIMAL_BYTES:
        raise LogicalError(Code.SCHEMA_PRECISION_TOO_LARGE)
    if kind == "fixed" and 10**precision > 2 ** (8 * size - 1) - 1:
        return None
    return decimal


def _declared(attributes: Mapping[str, Any]) -> Decimal | None:
    """Return precision and scale, or None if the specification does not allow them."""
    precision = attributes.get("precision")
    scale = attributes.get("scale", 0)
    if type(precision) is not int or type(scale) is not int:
        return None
    return Decimal(precision, scale) if precision >= 1 and 0 <= scale <= precision else None
