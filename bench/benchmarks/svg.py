"""
Charts as SVG: bars and lines; pure.

The same input gives the same text, so that a test can compare the pictures of the page with the
stored results. They have a background of their own, because the site has a light and a dark one.
"""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

Points = Sequence[tuple[float, float]]
"""Pairs of x and y."""

COLOURS: Final = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#555555",
    "#b8a800",
)
"""After Okabe and Ito, "Color Universal Design": they differ for colour-blind readers, too."""
_WIDTH: Final = 720
_LEFT: Final = 190
_RIGHT: Final = 60
_TOP: Final = 40
_BAR: Final = 16
_GAP: Final = 12
_PLOT_HEIGHT: Final = 260
_LEGEND: Final = 20
_PLOT_LEFT: Final = 70
_PLOT_RIGHT: Final = 24


def bars(title: str, unit: str, groups: Mapping[str, Mapping[str, float | None]]) -> str:
    """Return horizontal bars: a group for each x, in it a bar for each server with a figure."""
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    figures = [value or 0.0 for group in groups.values() for value in group.values()]
    most = max(figures, default=0.0) or 1.0
    scale = (_WIDTH - _LEFT - _RIGHT) / most
    y = _TOP
    parts: list[str] = []
    for label, group in groups.items():
        known = {name: value for name, value in group.items() if value is not None}
        middle = y + len(known) * _BAR / 2 + 4
        parts.append(_text(_LEFT - 8, middle, label, anchor="end"))
        for name, value in known.items():
            colour = COLOURS[names.index(name) % len(COLOURS)]
            width = max(value * scale, 1.0)
            parts += [
                _box(_LEFT, y, width, _BAR - 3, colour),
                _text(_LEFT + width + 5, y + _BAR - 5, number(value), size=11),
            ]
            y += _BAR
        y += _GAP
    return _picture(f"{title}, {unit}", y + _LEGEND, [*parts, *_legend(names, y + 6)])


def lines(title: str, unit: str, x_title: str, curves: Mapping[str, Points]) -> str:
    """Return a line for each server over a logarithmic x; an x of 0 is drawn at the left edge."""
    points = [point for curve in curves.values() for point in curve]
    axis = _Axis([x for x, _ in points], max([y for _, y in points] or [1.0]) or 1.0)
    bottom = _TOP + _PLOT_HEIGHT
    parts = _axes(axis, sorted({x for x, _ in points}))
    for place, curve in enumerate(curves.values()):
        parts += _line(axis, curve, COLOURS[place % len(COLOURS)])
    parts.append(_text(_WIDTH / 2, bottom + 34, x_title, anchor="middle"))
    legend = _legend(list(curves), bottom + 44)
    return _picture(f"{title}, {unit}", bottom + 44 + _LEGEND, [*parts, *legend])


class _Axis:
    """The place of a point in the plot."""

    def __init__(self, xs: Sequence[float], most: float) -> None:
        self.most = most
        self._least = min([x for x in xs if x > 0] or [1.0])
        self._has_zero = any(x <= 0 for x in xs)
        self._decades = math.log10(max([*xs, self._least]) / self._least) or 1.0

    def across(self, x: float) -> float:
        """Return the horizontal place; a decade is left of the first number for 0."""
        zero = 1.0 if self._has_zero else 0.0
        place = math.log10(x / self._least) + zero if x > 0 else 0.0
        width = _WIDTH - _PLOT_LEFT - _PLOT_RIGHT - 20
        return _PLOT_LEFT + 10 + width * place / (self._decades + zero)

    def down(self, y: float) -> float:
        """Return the vertical place."""
        return _TOP + _PLOT_HEIGHT * (1 - y / self.most)


def _axes(axis: _Axis, xs: Sequence[float]) -> list[str]:
    bottom = _TOP + _PLOT_HEIGHT
    corner = f"M{_PLOT_LEFT} {_TOP}V{bottom}H{_WIDTH - _PLOT_RIGHT}"
    parts = [
        f'<path d="{corner}" fill="none" stroke="#777"/>',
        *(_text(axis.across(x), bottom + 16, number(x), anchor="middle", size=11) for x in xs),
    ]
    for part in (0.0, 0.5, 1.0):
        value = axis.most * part
        height = axis.down(value)
        parts.append(_text(_PLOT_LEFT - 6, height + 4, number(value), anchor="end", size=11))
    return parts


def _line(axis: _Axis, curve: Points, colour: str) -> list[str]:
    places = [(axis.across(x), axis.down(y)) for x, y in curve]
    path = " ".join(f"{across:.1f},{down:.1f}" for across, down in places)
    circles = [
        f'<circle cx="{across:.1f}" cy="{down:.1f}" r="3" fill="{colour}"/>'
        for across, down in places
    ]
    return [
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
        *circles,
    ]


def number(value: float) -> str:
    """Return *value* with at most three significant digits, and k, M or G for large ones."""
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            base = limit if letter != "k" else 1e3
            return f"{value / base:.3g}{letter}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _legend(names: Sequence[str], y: float) -> list[str]:
    parts = []
    x = 12.0
    for place, name in enumerate(names):
        colour = COLOURS[place % len(COLOURS)]
        parts += [
            _box(x, y, 10, 10, colour),
            _text(x + 14, y + 9, name, size=11),
        ]
        x += 28 + 6.5 * len(name)
    return parts


def _picture(title: str, height: float, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}"'
        f' width="{_WIDTH}" height="{height:.0f}" role="img"'
        ' font-family="sans-serif" font-size="12">'
    )
    body = [
        f"<title>{escape(title)}</title>",
        '<rect width="100%" height="100%" fill="#fff"/>',
        _text(12, 22, title, size=14),
        *parts,
    ]
    return "\n".join([head, *body, "</svg>"]) + "\n"


def _box(x: float, y: float, width: float, height: float, colour: str) -> str:
    place = f'x="{x:.0f}" y="{y:.0f}" width="{width:.1f}" height="{height:.0f}"'
    return f'<rect {place} fill="{colour}"/>'


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 12) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"'
        f' fill="#222">{escape(text)}</text>'
    )
