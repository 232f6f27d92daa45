"""Series of a benchmark, and their stored results; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

BUSY_LOAD: Final = 0.5
"""With more busy processors than this before the start, a run is one on a busy machine."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of each row: its name in the rows, its title, and its unit."""

    name: str
    title: str
    unit: str


@dataclass(frozen=True, slots=True)
class Series:
    """
    What is measured side by side.

    `x` is what differs between the rows of one server, e.g. the size of the file. Lines need
    numbers as x, on a logarithmic axis.
    """

    id: str
    title: str
    about: str
    x: str
    chart: Literal["bars", "lines"]
    figures: Sequence[Figure]


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of one server at one x; None could not be measured, as `about` explains."""

    x: str | float
    server: str
    figures: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine of a run, and the versions of the programs on it."""

    processors: int
    model: str
    memory_gib: float
    kernel: str
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a series; `load` is the mean number of busy processors before and after it."""

    series: str
    date: str
    commit: str
    is_quick: bool
    load_before: float
    load_after: float
    machine: Machine
    rows: Sequence[Row]

    @property
    def is_busy(self) -> bool:
        """Return whether other work was on the machine, so that the figures mean little."""
        return self.load_before > BUSY_LOAD

    @property
    def servers(self) -> list[str]:
        """Return the servers in the order of their first rows."""
        return list(dict.fromkeys(row.server for row in self.rows))

    @property
    def places(self) -> list[str | float]:
        """Return each x in the order of its first row."""
        return list(dict.fromkeys(row.x for row in self.rows))

    def figure(self, x: str | float, server: str, name: str) -> float | None:
        """Return a figure, or None if there is none."""
        for row in self.rows:
            if (row.x, row.server) == (x, server):
                return row.figures.get(name)
        return None

    def document(self) -> dict[str, Any]:
        """Return the run as an object for JSON."""
        return {
            "series": self.series,
            "date": self.date,
            "commit": self.commit,
            "is_quick": self.is_quick,
            "load_before": self.load_before,
            "load_after": self.load_after,
            "machine": {
                "processors": self.machine.processors,
                "model": self.machine.model,
                "memory_gib": self.machine.memory_gib,
                "kernel": self.machine.kernel,
                "versions": dict(self.machine.versions),
            },
            "rows": [
                {"x": row.x, "server": row.server, "figures": dict(row.figures)}
                for row in self.rows
            ],
        }

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """
        Return the run of a document that `document` has returned.

        Raises:
            KeyError: a member is missing.         TypeError: a member is unknown.
        """
        members = dict(document)
        rows = tuple(Row(**row) for row in members.pop("rows"))
        return cls(machine=Machine(**members.pop("machine")), rows=rows, **members)
