"""The reference of the settings and the chart's values follow from the settings of both halves."""

import importlib
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from healthingest_contract import service_settings
from healthingest_operator.settings import CHART_VALUES, WRITTEN_BY_CHART
from healthingest_operator.settings import Settings as OperatorSettings
from healthingest_service.settings import known_names
from support.scripts import load_script

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "docs" / "settings" / "write_settings.py"


@pytest.fixture(scope="module")
def writer() -> ModuleType:
    """Load the script as a module."""
    return load_script(SCRIPT)


def test_generated_files_are_those_of_the_settings(writer: ModuleType) -> None:
    """`make settings` writes them."""
    for path, text in writer.generated_files(ROOT).items():
        assert path.read_text(encoding="utf-8") == text, path


def test_the_page_has_a_row_for_each_setting(writer: ModuleType) -> None:
    """Variable, type, default, way and meaning; no cell is empty."""
    rows = [line for line in writer.reference().splitlines() if line.startswith("| `HEALTHINGEST")]
    names = [row.split("`")[1] for row in rows]
    operator = {f"HEALTHINGEST_OPERATOR_{name.upper()}" for name in OperatorSettings.model_fields}
    assert sorted(names) == sorted(known_names() | operator)
    for row in rows:
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
        assert len(cells) == 5, row
        assert all(cells), row


def test_each_setting_of_the_operator_is_a_chart_value(writer: ModuleType) -> None:
    """Or it is listed with the reason; the values have the operator's defaults."""
    text = (ROOT / "charts" / "healthingest-operator" / "values.yaml").read_text(encoding="utf-8")
    values = yaml.safe_load(text)
    assert set(CHART_VALUES) | set(WRITTEN_BY_CHART) <= set(OperatorSettings.model_fields)
    for name, field in OperatorSettings.model_fields.items():
        if name in WRITTEN_BY_CHART:
            continue
        found: Any = values
        for step in writer.chart_value(name).split("."):
            found = found[step]
        if isinstance(field.default, int | float):
            assert found == field.default, name


def test_a_setting_without_a_docstring_is_refused(
    writer: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the field."""
    source = "from pydantic import BaseModel\nclass Group(BaseModel):\n    bare: int = 1\n"
    (tmp_path / "bare_settings.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "bare_settings", raising=False)
    group = importlib.import_module("bare_settings").Group
    with pytest.raises(ValueError, match=r"Group\.bare has no docstring"):
        writer._meaning(group, "bare")


def test_a_secret_never_becomes_settable(
    writer: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secret text that no table names stops the writer, which names the table to use."""
    known = dict(service_settings.SECRETS)
    secret = known.popitem()[0]
    monkeypatch.setattr(service_settings, "SECRETS", known)
    with pytest.raises(ValueError, match=rf"{secret} is a secret: add it to SECRETS"):
        writer.settable()


@pytest.mark.parametrize(
    ("schema", "name", "text"),
    [
        ({"type": "integer", "exclusiveMinimum": 0}, "max_bytes", "integer, at least 1, bytes"),
        (
            {"type": "number", "exclusiveMinimum": 0, "maximum": 0.5},
            "delay_seconds_max",
            "number, more than 0, at most 0.5, seconds",
        ),
        ({"type": "integer", "minimum": 0}, "max_steps_per_byte", "integer, at least 0"),
        ({"type": "integer"}, "bytes_per_second", "integer, bytes/s"),
        ({"type": "string", "enum": ["a", "b"]}, "mode", "`a`, `b`"),
        ({"type": "string", "format": "rate"}, "uploads", "rate, such as `10/minute`"),
    ],
)
def test_a_type_is_told_with_range_and_unit(
    writer: ModuleType, schema: dict[str, Any], name: str, text: str
) -> None:
    """The unit comes from the end of the name."""
    assert writer._type(schema, name) == text


def test_a_comment_describes_the_value_below_it(writer: ModuleType) -> None:
    """At every depth; a blank line separates a comment from the value."""
    text = "# Outer.\na:\n  # In\n  # two lines.\n  b: 1\n  c: 2\n# No value's.\n\nd: 3\n"
    found = writer.value_comments(text)
    assert found == {("a",): "Outer.", ("a", "b"): "In two lines."}


def test_the_schema_takes_descriptions_from_comments_and_bounds_from_settings(
    writer: ModuleType,
) -> None:
    """What is written by hand stays, and an old setting goes."""
    settings = {"properties": {"gone": {"type": "string"}}}
    schema = {"properties": {"operator": settings, "a": {"type": "integer", "description": "Old"}}}
    text = writer.chart_schema(schema, "# New.\na: 1\noperator:\n  # Count.\n  workers: 8\n")
    found = json.loads(text)["properties"]
    assert found["a"] == {"type": "integer", "description": "New."}
    assert "gone" not in found["operator"]["properties"]
    workers = found["operator"]["properties"]["workers"]
    assert workers == {"description": "Count.", "type": "integer", "minimum": 1, "maximum": 10000}


def test_the_page_of_chart_values_has_a_row_for_each(writer: ModuleType) -> None:
    """With type, default and meaning; a group has no default of its own."""
    schema = {
        "properties": {
            "a": {"type": "integer", "minimum": 1, "maximum": 9, "description": "A | b."},
            "group": {
                "type": "object",
                "description": "G.",
                "properties": {
                    "b": {
                        "type": "array",
                        "maxItems": 3,
                        "items": {"type": "string"},
                        "description": "B.",
                    }
                },
            },
        }
    }
    page = writer.chart_reference(schema, {"a": 2, "group": {"b": []}})
    assert page.splitlines()[-3:] == [
        "| `a` | integer, at least 1, at most 9 | `2` | A \\| b. |",
        "| `group` | object |  | G. |",
        "| `group.b` | list of texts, at most 3 | `[]` | B. |",
    ]
