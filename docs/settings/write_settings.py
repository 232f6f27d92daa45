"""
Writes what follows from the settings of both halves: `make settings`.

That is the reference page, the names that `spec.settings` allows and the operator's chart values.
The page of all chart values follows from their comments and their schema.

Run from the repository's root. With `--check` it writes nothing and ends with 1 when a file
differs from its source.
"""

import json
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel
from pydantic.alias_generators import to_camel
from sphinx.pycode import ModuleAnalyzer

from healthingest_contract import service_settings
from healthingest_contract.environment import PREFIX
from healthingest_operator import settings as operator
from healthingest_service.settings import Settings
from healthingest_service.settings.groups import Group

REFERENCE: Final = Path(service_settings.REFERENCE)
SETTABLE_NAMES: Final = Path("contract/healthingest_contract/settable_names.py")
VALUES: Final = Path("charts/healthingest-operator/values.yaml")
VALUES_SCHEMA: Final = Path("charts/healthingest-operator/values.schema.json")
CHART_REFERENCE: Final = Path("docs/reference/chart-values.md")
OPERATOR_PREFIX: Final = f"{PREFIX}OPERATOR_"

_INTRODUCTION: Final = """\
<!-- `make settings` writes this page from service/healthingest_service/settings/ and
operator/healthingest_operator/settings.py: edit those. -->

# Settings

Every setting is an environment variable with a default. An empty variable counts as unset.
A wrong value stops the process at its start: the log names the variable and the rule, never the
value.

On a cluster a setting of the service is a field of the resource, or an entry of `spec.settings`:

```yaml
spec:
  settings:
    HEALTHINGEST_LIMITS__LOGINS: 60/hour
    HEALTHINGEST_GATE__WORKERS: "4"
```

The values are texts, so numbers stand in quotes. The API, the relay, the janitor and the migration
get all of them, and a change restarts the pods. A value that a pod refuses is reported with the
cause `settings-refused`, see [the runbook](runbook.md). A setting of the operator is a value of
the chart.

The column "on a cluster" says how each setting is set there, or why it cannot be set.
"""
_CHART_INTRODUCTION: Final = """\
<!-- `make settings` writes this page from charts/healthingest-operator/values.yaml and
values.schema.json: edit those. -->

# Values of the chart

Helm refuses a value with a wrong type, a value out of its range, and a name that is not listed
here. `as in a pod` means that the chart copies the value, and the API server checks it.

| value | type | default | meaning |
| --- | --- | --- | --- |
"""
_NAMES_MODULE: Final = '''\
"""Names that `spec.settings` allows, without their prefix. `make settings` writes this file."""

from typing import Final

NAMES: Final = frozenset(
    {{
{names}
    }}
)
'''
_HEAD: Final = (
    "| variable | type | default | on a cluster | meaning |",
    "| --- | --- | --- | --- | --- |",
)
_UNITS: Final = (
    ("bytes_per_second", "bytes/s"),
    ("bytes", "bytes"),
    ("seconds", "seconds"),
    ("days", "days"),
    ("characters", "characters"),
)
_TYPES: Final = {"boolean": "`true` or `false`", "string": "text", "array": "list"}
_FORMATS: Final = {"rate": "rate, such as `10/minute`", "password": "secret text", "path": "path"}


def generated_files(root: Path) -> Mapping[Path, str]:
    """Return the text of each generated file of the repository at *root*."""
    values = (root / VALUES).read_text(encoding="utf-8")
    schema = (root / VALUES_SCHEMA).read_text(encoding="utf-8")
    start = "# begin of `operator`: `make settings` writes these values\n"
    written = _between(values, start, "# end of `operator`\n", chart_values())
    written_schema = chart_schema(json.loads(schema), written)
    return {
        root / REFERENCE: reference(),
        root / SETTABLE_NAMES: settable_names_module(),
        root / VALUES: written,
        root / VALUES_SCHEMA: written_schema,
        root / CHART_REFERENCE: chart_reference(
            json.loads(written_schema), yaml.safe_load(written)
        ),
    }


def reference() -> str:
    """Return the page of all settings."""
    groups = [
        "\n".join((f"### {name}", "", *_HEAD, *rows)) + "\n" for name, rows in _service_tables()
    ]
    operators = "\n".join((*_HEAD, *_operator_rows())) + "\n"
    return "\n".join((_INTRODUCTION, "## The service\n", *groups, "## The operator\n", operators))


def settable_names_module() -> str:
    """Return the module with the names that `spec.settings` allows, without their prefix."""
    lines = [f'        "{name.removeprefix(PREFIX)}",' for name in sorted(settable())]
    return _NAMES_MODULE.format(names="\n".join(lines))


def settable() -> set[str]:
    """
    Return the variables that `spec.settings` may set: those that no table names.

    Raises:
        ValueError: one of them is a secret text.
    """
    variables = {
        variable: _schema(model, name)
        for _, settings in service_groups()
        for model, name, variable in settings
    }
    tables = (
        service_settings.WRITTEN_BY_OPERATOR,
        service_settings.SECRETS,
        service_settings.LOCAL_ONLY,
    )
    names = {name for name in variables if not any(name in table for table in tables)}
    secret = sorted(name for name in names if variables[name].get("format") == "password")
    if secret:
        message = f"{secret[0]} is a secret: add it to SECRETS in {service_settings.__name__}"
        raise ValueError(message)
    return names


def service_groups() -> Iterator[tuple[str, list[tuple[type[BaseModel], str, str]]]]:
    """Yield the name of each group with model, field and variable of its settings."""
    general: list[tuple[type[BaseModel], str, str]] = []
    groups: list[tuple[str, type[Group]]] = []
    for name, field in Settings.model_fields.items():
        group = field.annotation
        if isinstance(group, type) and issubclass(group, Group):
            groups.append((name, group))
        else:
            general.append((Settings, name, f"{PREFIX}{name}".upper()))
    yield "General", general
    for name, group in groups:
        yield (
            name.capitalize(),
            [(group, inner, f"{PREFIX}{name}__{inner}".upper()) for inner in group.model_fields],
        )


def _service_tables() -> Iterator[tuple[str, list[str]]]:
    """Yield the name of each group with the rows of its settings."""
    for name, settings in service_groups():
        yield name, [_service_row(*setting) for setting in settings]


def _service_row(model: type[BaseModel], name: str, variable: str) -> str:
    return _row(variable, _schema(model, name), name, service_way(variable), _meaning(model, name))


def service_way(variable: str) -> str:
    """Return how *variable* of the service is set on a cluster."""
    if variable in service_settings.LOCAL_ONLY:
        return f"local only: {service_settings.LOCAL_ONLY[variable]}"
    tables = {**service_settings.WRITTEN_BY_OPERATOR, **service_settings.SECRETS}
    way = tables.get(variable, "spec.settings")
    return f"`{way}`" if way.startswith("spec.") else way


def _operator_rows() -> Iterator[str]:
    for name, field in operator.Settings.model_fields.items():
        variable = f"{OPERATOR_PREFIX}{name}".upper()
        schema = _schema(operator.Settings, name)
        yield _row(variable, schema, name, operator_way(name), str(field.description))


def operator_way(name: str) -> str:
    """Return how the setting *name* of the operator is set on a cluster."""
    if name in operator.WRITTEN_BY_CHART:
        return f"local only: {operator.WRITTEN_BY_CHART[name]}"
    return f"chart value `{chart_value(name)}`"


def chart_value(name: str) -> str:
    """Return the path of the chart value for the setting *name* of the operator."""
    return operator.CHART_VALUES.get(name, f"operator.{to_camel(name)}")


def _generated_values() -> Iterator[str]:
    """Yield the settings whose chart values are generated."""
    named = {*operator.CHART_VALUES, *operator.WRITTEN_BY_CHART}
    yield from (name for name in operator.Settings.model_fields if name not in named)


def chart_values() -> str:
    """Return the block `operator` of values.yaml."""
    lines = ["", "# Settings of the operator.", "operator:"]
    for name in _generated_values():
        field = operator.Settings.model_fields[name]
        comment = textwrap.wrap(str(field.description), 116)
        lines += [f"  # {line}" for line in comment]
        lines.append(f"  {to_camel(name)}: {_plain(field.default)}")
    return "\n".join(lines) + "\n"


def chart_schema(schema: dict[str, Any], values: str) -> str:
    """
    Return values.schema.json: *schema* with what follows from the settings and from *values*.

    The settings give the types and bounds of the block `operator`. The comment above each value of
    the text *values* becomes its description. All else is written by hand in the schema.
    """
    kept = ("type", "enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
    operators = schema["properties"]["operator"]["properties"] = {}
    for name in _generated_values():
        found = _schema(operator.Settings, name)
        operators[to_camel(name)] = {key: _number(found[key]) for key in kept if key in found}
    for path, comment in value_comments(values).items():
        place: dict[str, Any] | None = schema
        for step in path:
            place = (place or {}).get("properties", {}).get(step)
        if place is not None:
            rest = {key: value for key, value in place.items() if key != "description"}
            place.clear()
            place.update({"description": comment, **rest})
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def chart_reference(schema: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """Return the page of all chart values, in the order of values.yaml."""
    return _CHART_INTRODUCTION + "".join(_chart_rows(schema, values, ""))


def _chart_rows(schema: Mapping[str, Any], values: Mapping[str, Any], outer: str) -> Iterator[str]:
    for name, value in values.items():
        place = schema["properties"][name]
        path = f"{outer}{name}"
        inner = isinstance(value, dict) and "properties" in place
        default = "" if inner else f"`{json.dumps(value, ensure_ascii=False)}`"
        cells = (f"`{path}`", _value_type(place), default, place["description"])
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"
        if inner:
            yield from _chart_rows(place, value, f"{path}.")


def _value_type(place: Mapping[str, Any]) -> str:
    """Return type and range of a chart value."""
    if "enum" in place:
        return ", ".join(f"`{choice}`" for choice in place["enum"])
    types = place["type"] if isinstance(place["type"], list) else [place["type"]]
    if types[0] in {"integer", "number"}:
        return f"{' or '.join(types)}, {_range({**place, 'type': types[0]})}"
    if types[0] == "array":
        return _list_type(place)
    if types[0] == "object" and "properties" not in place:
        return "map" if "additionalProperties" in place else "object, as in a pod"
    return " or ".join(_TYPES.get(str(kind), str(kind)) for kind in types)


def _list_type(place: Mapping[str, Any]) -> str:
    kind = "texts" if place["items"]["type"] == "string" else "objects, as in a pod"
    return f"list of {kind}, at most {place['maxItems']}"


def value_comments(values: str) -> Mapping[tuple[str, ...], str]:
    """Return the comment above each key of a YAML text that has one, by the key's path."""
    found: dict[tuple[str, ...], str] = {}
    outer: list[tuple[int, str]] = []
    comment: list[str] = []
    for line in values.splitlines():
        text = line.strip()
        if text.startswith("#"):
            comment.append(text.removeprefix("#").strip())
            continue
        key = re.match(r"( *)([A-Za-z]\w*):", line)
        if key is not None:
            outer = [(indent, name) for indent, name in outer if indent < len(key[1])]
            outer.append((len(key[1]), key[2]))
            if comment:
                found[tuple(name for _, name in outer)] = " ".join(comment)
        comment = []
    return found


def _schema(model: type[BaseModel], name: str) -> dict[str, Any]:
    """Return the JSON schema of a field, with definitions in place and without null."""
    whole = model.model_json_schema()
    found = dict(whole["properties"][name])
    choices = [part for part in found.pop("anyOf", ()) if part != {"type": "null"}]
    for part in choices:
        found = {**part, **found}
    if "$ref" in found:
        found = {**whole["$defs"][found.pop("$ref").rpartition("/")[2]], **found}
    return found


def _row(variable: str, schema: Mapping[str, Any], name: str, way: str, meaning: str) -> str:
    cells = (f"`{variable}`", _type(schema, name), _default(schema), way, meaning)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _type(schema: Mapping[str, Any], name: str) -> str:
    """Return type, range and unit."""
    if "enum" in schema:
        return ", ".join(f"`{choice}`" for choice in schema["enum"])
    if schema["type"] in {"integer", "number"}:
        parts = (schema["type"], _range(schema), _unit(name))
        return ", ".join(part for part in parts if part)
    return _FORMATS.get(schema.get("format", ""), _TYPES[schema["type"]])


def _range(schema: Mapping[str, Any]) -> str:
    least = schema.get("minimum")
    above = schema.get("exclusiveMinimum")
    most = schema.get("maximum")
    if above is not None:
        least_text = "at least 1" if schema["type"] == "integer" else f"more than {_number(above)}"
    else:
        least_text = "" if least is None else f"at least {_number(least)}"
    return ", ".join(part for part in (least_text, most and f"at most {_number(most)}") if part)


def _unit(name: str) -> str:
    pattern = rf"(^|_)({'|'.join(word for word, _ in _UNITS)})(_min|_max)?$"
    found = re.search(pattern, name)
    return dict(_UNITS)[found[2]] if found else ""


def _default(schema: Mapping[str, Any]) -> str:
    default = schema.get("default")
    if default in (None, "", []):
        return "unset" if "default" in schema else "required"
    text = f"`{_plain(default)}`"
    if isinstance(default, int) and default >= 2**20 and default % 2**20 == 0:
        return f"{text} ({default // 2**20} MiB)"
    return text


def _plain(value: object) -> str:
    """Return a value as it is written in a variable or a YAML file."""
    return str(_number(value)) if isinstance(value, int | float) else str(value)


def _number(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a number without a needless fraction; anything else unchanged."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _meaning(model: type[BaseModel], name: str) -> str:
    """
    Return the docstring of a field.

    Raises:
        ValueError: it has none.
    """
    documented = ModuleAnalyzer.for_module(model.__module__).find_attr_docs()
    lines = documented.get((model.__name__, name))
    if not lines:
        message = f"{model.__module__}: {model.__name__}.{name} has no docstring"
        raise ValueError(message)
    return " ".join(" ".join(lines).split())


def _between(text: str, start: str, end: str, block: str) -> str:
    """
    Return *text* with *block* between the first *start* and the first *end* after it.

    Raises:
        ValueError: a marker is missing.
    """
    before, found_start, rest = text.partition(start)
    _, found_end, after = rest.partition(end)
    if not found_start or not found_end:
        message = f"the marker {(end if found_start else start).strip()} is missing"
        raise ValueError(message)
    return f"{before}{start}{block}{end}{after}"


def main() -> int:
    """Write the files, or with `--check` compare them."""
    files = generated_files(Path())
    differing = [
        path
        for path, text in files.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    if "--check" in sys.argv[1:]:
        for path in differing:
            sys.stderr.write(f"{path} differs from its source: run `make settings`\n")
        return 1 if differing else 0
    for path in differing:
        path.write_text(files[path], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
