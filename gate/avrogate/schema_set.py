"""
Parses a set of schema files that refer to each other in any order.

Each file becomes a self-contained schema. A type is defined once, in its own file or within
another; all other files refer to it by its full name. Byte order marks and comments are ignored, as
Java's library does.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from avrogate.explanations import explain, with_limits
from avrogate.model import Schema
from avrogate.names import own_name
from avrogate.place import Place
from avrogate.policy import Policy
from avrogate.results import Code, Finding, RefusedError
from avrogate.schema import NAMED, UnknownTypeError, build_schema, parse_text
from avrogate.strictjson import line_of, without_comments


class SchemaSetError(ValueError):
    """
    A file of the set is not a schema, or refers to a type that no file defines.

    The message names the file and the type.
    """


@dataclass(frozen=True, slots=True)
class _Definition:
    file: str
    value: dict[str, Any]
    namespace: str
    place: Place


def parse_schema_set(files: Mapping[str, bytes], policy: Policy) -> dict[str, Schema]:
    """
    Return the schema of each file by file name.

    A type of another file is written out at its first reference.

    Raises:
        SchemaSetError: a file is not an Avro schema, or a type is missing, or two other files
        define
            it differently.
    """
    values = {file: _value(file, text, policy) for file, text in files.items()}
    index: dict[str, list[_Definition]] = {}
    for file, value in values.items():
        for name, definition in _definitions(file, value, policy):
            index.setdefault(name, []).append(definition)
    return {file: _schema(file, value, index, policy) for file, value in values.items()}


def _value(file: str, text: bytes, policy: Policy) -> Any:  # noqa: ANN401 - JSON can be anything
    try:
        plain = without_comments(text.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise _wrong(file, Finding(Code.SCHEMA_NOT_JSON)) from None
    try:
        return parse_text(plain.encode(), policy)
    except RefusedError as refused:
        finding = with_limits(refused, policy).findings[0]
        line = line_of(plain) if finding.code == Code.SCHEMA_NOT_JSON else None
        raise _wrong(file if line is None else f"{file} line {line}", finding) from None


def _schema(
    file: str,
    value: Any,  # noqa: ANN401 - from JSON
    index: Mapping[str, list[_Definition]],
    policy: Policy,
) -> Schema:
    try:
        return build_schema(value, policy, _View(file, index))
    except UnknownTypeError as error:
        place = _place(file, error.findings[0])
        message = (
            f"{place}: no file defines the type `{error.name}`."
            " Add the file that does, or correct the name."
        )
        raise SchemaSetError(message) from None
    except RefusedError as refused:
        raise _wrong(file, with_limits(refused, policy).findings[0]) from None


class _View:
    """The types of all files, from the point of view of one file: its own types come first."""

    def __init__(self, file: str, index: Mapping[str, list[_Definition]]) -> None:
        self._file = file
        self._index = index

    def find(self, name: str) -> tuple[dict[str, Any], str, Place] | None:
        """See `Definitions.find`."""
        found = self._index.get(name, [])
        found = [definition for definition in found if definition.file == self._file] or found
        if any(definition.value != found[0].value for definition in found):
            where = " and ".join(sorted({definition.file for definition in found}))
            message = (
                f"{self._file}: the type `{name}` is defined differently in {where}."
                " Keep one of them."
            )
            raise SchemaSetError(message)
        return (found[0].value, found[0].namespace, found[0].place) if found else None

    def has(self, name: str, value: dict[str, Any]) -> bool:
        """See `Definitions.has`."""
        return any(definition.value == value for definition in self._index.get(name, []))


# ANN401: from JSON
def _definitions(file: str, value: Any, policy: Policy) -> Iterator[tuple[str, _Definition]]:  # noqa: ANN401
    """Yield the named types of a file. Errors in it are ignored here and found by the parser."""
    waiting: list[tuple[Any, str, Place]] = [(value, "", Place(file=f"{file}#"))]
    while waiting:
        item, namespace, place = waiting.pop()
        if isinstance(item, list):
            waiting.extend((part, namespace, place.at(number)) for number, part in enumerate(item))
        if not isinstance(item, dict):
            continue
        if item.get("type") in NAMED:
            name = own_name(item, namespace, policy)
            if name is None:
                continue
            yield name, _Definition(file, item, namespace, place)
            namespace = name.rpartition(".")[0]
        waiting.extend((part, namespace, place.at(*steps)) for steps, part in _below(item))


def _below(item: dict[str, Any]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    for key in ("items", "values", "type"):
        if key in item:
            yield (key,), item[key]
    fields = item.get("fields")
    for number, field in enumerate(fields if isinstance(fields, list) else ()):
        if isinstance(field, dict) and "type" in field:
            yield ("fields", number, "type"), field["type"]


def _wrong(file: str, finding: Finding) -> SchemaSetError:
    explained = explain(finding)
    return SchemaSetError(
        f"{_place(file, finding)}: no Avro schema: {finding.code}:"
        f" {explained.message} {explained.remedy}"
    )


def _place(file: str, finding: Finding) -> str:
    """
    Return the file, the pointer and the nearest name as text.

    A pointer into another file names that file.
    """
    pointer = finding.pointer or ""
    where = pointer if "#" in pointer else f"{file}#{pointer}" if pointer else file
    return f"{where} ({finding.nearest_name})" if finding.nearest_name else where
