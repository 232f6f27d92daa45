"""Generates the second half of docs/reference/avro-gate.md; `make goldens` writes it."""

from collections.abc import Iterator, Mapping
from dataclasses import fields

from avrogate import Code, Finding, Policy, explain
from avrogate.cause_table import CAUSES
from avrogate.explanation_table import EXPLANATIONS, SECTIONS
from avrogate.explanations import limit_of, size_of

BEGIN = "<!-- made of gate/avrogate/explanation_table.py and policy.py by `make goldens` -->"


def made(examples: Mapping[str, str]) -> str:
    """
    Return limits, codes and causes as Markdown.

    *examples* has a malicious file by code; other codes have a dash.
    """
    return "\n".join((*_limits(), *_codes(examples), *_causes())) + "\n"


def _limits() -> Iterator[str]:
    codes = {
        explanation.limit: code for code, explanation in EXPLANATIONS.items() if explanation.limit
    }
    yield from (BEGIN, "", "## Limits", "", "| limit | default | code |", "| --- | --- | --- |")
    for field in fields(Policy):
        value = getattr(Policy(), field.name)
        if field.name.startswith("max_"):
            code = f"`{codes[field.name]}`" if field.name in codes else "-"
            yield f"| `{field.name}` | {size_of(field.name, value)} | {code} |"


def _codes(examples: Mapping[str, str]) -> Iterator[str]:
    yield from ("", "## Codes", "")
    yield (
        "Each code has an example file, which `tests/support/avro/hostile.py` generates under this "
        "name. "
        "A dash: the example is in `tests/gate/test_schema.py`. Messages show the default limits."
    )
    for heading, section in SECTIONS.items():
        yield from (
            "",
            f"### {heading}",
            "",
            "| code | message | remedy | example |",
            "| --- | --- | --- | --- |",
        )
        for code in section:
            explained = explain(Finding(code, limit=limit_of(code, Policy())))
            example = f"`{examples[code]}`" if code in examples else "-"
            yield f"| `{code}` | {explained.message} | {explained.remedy} | {example} |"


def _causes() -> Iterator[str]:
    yield from ("", "## Causes", "")
    yield (
        f"A finding with the code `{Code.MAGIC_WRONG}` or `{Code.SCHEMA_NAME_INVALID}` has a "
        "`cause` where a usual "
        "mistake is recognised, and then its message and remedy."
    )
    yield from ("", "| cause | message | remedy |", "| --- | --- | --- |")
    for cause, explanation in CAUSES.items():
        yield f"| `{cause}` | {explanation.message} | {explanation.remedy} |"
