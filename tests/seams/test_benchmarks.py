"""The page of the benchmarks is made from stored results alone; the model of scaling is right."""

import math
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from benchmarks.catalogue import SERIES
from benchmarks.model import Figure, Machine, Row, Run, Series
from benchmarks.page import page, pictures
from benchmarks.scaling import (
    LIMITS,
    POD,
    ceiling,
    erlang_c,
    first_to_break,
    loads,
    pod_per_second,
    response_ms,
)
from benchmarks.scaling_page import BEGIN, END, with_tables
from benchmarks.svg import bars, lines, number
from benchmarks.write_page import ROOT, generated_files, stored_runs

DEMANDS = {
    "API": 8.0,
    "gate": 2.0,
    "relay": 2.0,
    "janitor": 0.1,
    "PostgreSQL": 2.0,
    "S3": 1.0,
    "RabbitMQ": 0.5,
    "Redis": 0.25,
}
GROWTH = Series("size", "Growth", "Of files.", "bytes", "lines", (Figure("ms", "Time", "ms"),))


def run_of(*rows: Row, series: str = "size", load: float = 0.1, is_quick: bool = False) -> Run:
    """Return a run of a series."""
    machine = Machine(2, "a processor", 8.0, "Linux 6", {"Python": "3.11.0"})
    return Run(series, "2026-11-29", "abc1234", is_quick, load, 2.0, machine, rows)


def elements(text: str, tag: str) -> list[ET.Element]:
    """Return the elements of a picture with a tag, in their order."""
    # S314: the test has just drawn it
    return list(ET.fromstring(text).iter(f"{{http://www.w3.org/2000/svg}}{tag}"))  # noqa: S314


def demands_run() -> Run:
    """Return a run of the demands."""
    rows = [Row(name, "HealthIngest", {"processor_ms": ms}) for name, ms in DEMANDS.items()]
    return run_of(*rows, series="demands")


def test_the_pages_equal_what_the_stored_results_give() -> None:
    """No number on them is typed by hand: `make benchmarks-page`."""
    runs = stored_runs()
    wanted = generated_files(runs)
    folder = ROOT / "docs" / "reference" / "benchmarks"
    differing = [path for path, text in wanted.items() if _text(path) != text]
    assert [str(path.relative_to(ROOT)) for path in differing] == []
    assert [path for path in folder.glob("*.svg") if path not in wanted] == []
    assert set(runs) <= {series.id for series in SERIES}


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def test_a_series_without_results_says_so() -> None:
    """With the command that measures it, and without a picture."""
    assert "No results yet: `make bench ONLY=size STORE=1`." in page([GROWTH], {})
    assert pictures([GROWTH], {}) == {}


def test_the_page_has_the_figures_of_a_run() -> None:
    """Also the machine, and what makes the figures less certain; a missing one is empty."""
    rows = [
        Row(1000, "ours", {"ms": 1.5}),
        Row(1000, "theirs", {"ms": 3.0}),
        Row(2_000_000, "ours", {"ms": 1234.5}),
        Row(2_000_000, "theirs", {"ms": None}),
    ]
    made = page([GROWTH], {"size": run_of(*rows)})
    assert "| Time, ms | ours | theirs |\n" in made
    assert "| 1,000 | 1.5 | 3 |\n| 2,000,000 | 1,234 |  |\n" in made
    assert (
        "2026-11-29 at abc1234: 2 processors (a processor), 8 GiB, Linux 6; Python 3.11.0." in made
    )
    assert "busy" not in made
    assert "quick" not in made
    busy = page([GROWTH], {"size": run_of(*rows, load=3.0, is_quick=True)})
    assert "**A busy machine:**" in busy
    assert "**A quick run:**" in busy
    (text,) = pictures([GROWTH], {"size": run_of(*rows)}).values()
    assert len(elements(text, "circle")) == 3


def test_a_run_is_kept_as_it_was() -> None:
    """Its document has everything."""
    run = run_of(Row("a", "ours", {"ms": None}), Row(1, "ours", {"ms": 2.0}))
    parsed = Run.parse(run.document())
    assert parsed.document() == run.document()
    assert parsed.figure(1, "ours", "ms") == 2.0
    assert parsed.figure("a", "ours", "ms") is None
    with pytest.raises(TypeError):
        Run.parse(run.document() | {"unknown": 1})


def test_pictures_are_well_formed_and_to_scale() -> None:
    """A bar of twice the figure has twice the length, and text is escaped."""
    text = bars("A & B", "MB/s", {"x": {"<ours>": 10.0, "theirs": 5.0, "absent": None}})
    boxes = elements(text, "rect")
    widths = [float(one.attrib["width"]) for one in boxes if one.attrib["height"] == "13"]
    assert len(widths) == 2
    assert math.isclose(widths[0], 2 * widths[1], rel_tol=0.01)
    assert "&lt;ours&gt;" in text
    curve = lines("Rows", "ms", "rows", {"ours": [(0, 1.0), (10, 2.0), (1000, 4.0)]})
    places = elements(curve, "circle")
    across = [float(one.attrib["cx"]) for one in places]
    down = [float(one.attrib["cy"]) for one in places]
    assert across == sorted(across)
    assert math.isclose(across[2] - across[1], 2 * (across[1] - across[0]), abs_tol=0.2)
    assert down == sorted(down, reverse=True)
    assert lines("Nothing", "ms", "rows", {})


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.1234, "0.123"), (999, "999"), (12_345, "12.3k"), (2e6, "2M"), (1e9, "1G")],
)
def test_numbers_of_pictures_are_short(value: float, text: str) -> None:
    """Three significant digits."""
    assert number(value) == text


def test_the_probability_to_wait_is_erlangs() -> None:
    """For one processor it is the utilisation; tables of Erlang C have the others."""
    assert math.isclose(erlang_c(1, 0.7), 0.7)
    assert math.isclose(erlang_c(2, 1.0), 1 / 3)
    assert math.isclose(erlang_c(10, 8.0), 0.4092, abs_tol=1e-4)
    assert erlang_c(4, 0) == 0
    for offered in (1.0, 1.5, -0.1):
        with pytest.raises(ValueError, match="offered load"):
            erlang_c(1, offered)


def test_a_busier_pod_answers_later() -> None:
    """M/M/1 at half its capacity takes twice the demand; more processors wait less."""
    assert math.isclose(response_ms(10, 1, 0.5), 20)
    assert response_ms(10, 1, 0.9) > response_ms(10, 2, 0.9) > response_ms(10, 4, 0.9) > 10


def test_the_lowest_ceiling_breaks_first() -> None:
    """By the utilisation law; components of the pods have none, and S3 has that of a prefix."""
    by_name = {limit.component: limit for limit in LIMITS}
    assert set(by_name) == set(DEMANDS)
    assert all(ceiling(by_name[name], DEMANDS) is None for name in POD)
    assert ceiling(by_name["relay"], DEMANDS) == 500
    assert ceiling(by_name["PostgreSQL"], DEMANDS) == 16_000
    assert ceiling(by_name["S3"], DEMANDS) == 3500
    assert ceiling(by_name["relay"], DEMANDS | {"relay": 0.0}) is None
    order = [limit.component for limit, _ in first_to_break(DEMANDS)]
    assert order == ["relay", "RabbitMQ", "S3", "Redis", "janitor", "PostgreSQL"]
    assert pod_per_second(DEMANDS, 2) == 200
    beyond = {one.limit.component for one in loads(DEMANDS, 2500) if one.is_beyond}
    assert beyond == {"relay", "RabbitMQ"}
    (api,) = [one for one in loads(DEMANDS, 700) if one.limit.component == "API"]
    assert math.isclose(api.processors, 8)


def test_the_page_about_scaling_has_the_tables_of_a_run() -> None:
    """Between its marks; text around them stays."""
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    made = with_tables(text, demands_run())
    assert made.startswith("before\n")
    assert made.endswith("after\n")
    assert "old" not in made
    assert "| relay | 2 | 500 |" in made
    assert "| 1 | 100 | 20 | 33.3 | 100 |" in made
    assert "| 10 x | 700 | 10 | relay |" in made
    assert "| 1 x | 70 | 1 | nothing |" in made
    assert with_tables(made, demands_run()) == made
    assert "No results yet" in with_tables(text, None)
    with pytest.raises(ValueError, match="marks"):
        with_tables("without", None)


def test_each_figure_of_the_model_is_a_component_of_the_bench() -> None:
    """The series that measures the demands has them."""
    source = (ROOT / "bench" / "series" / "uploads.py").read_text(encoding="utf-8")
    assert [limit.component for limit in LIMITS if f'"{limit.component}": ' not in source] == []
