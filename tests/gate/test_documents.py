"""docs/reference/avro-gate.md lists the limits and codes of the code."""

import os
import re
from pathlib import Path

import pytest

from avrogate import Cause, Code, Finding, Policy, explain
from avrogate.cause_table import CAUSES
from avrogate.explanation_table import EXPLANATIONS, LIMIT
from avrogate.explanations import limit_of
from support.avro.documenting import BEGIN, made
from support.avro.encoding import MAGIC, long, text
from support.avro.hostile import hostile_files
from support.avro.validating import findings

pytestmark = pytest.mark.timeout(300)  # the first test that needs the files generates them
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "avro-gate.md"


def _examples(page: str) -> dict[str, str]:
    """Return the right examples of the page, and the first hostile file of each other code."""
    first: dict[str, str] = {}
    codes = {}
    for hostile in hostile_files():
        first.setdefault(hostile.code, hostile.name)
        codes[hostile.name] = hostile.code
    named = re.findall(r"^\| `(\w+)` \| .+ \| `(.+)` \|$", page, re.MULTILINE)
    return first | {code: name for code, name in named if codes.get(name) == code}


def test_the_page_is_made_of_the_tables() -> None:
    """The limits with their defaults; codes and causes with message, remedy and example."""
    page = PAGE.read_text(encoding="utf-8")
    by_hand = page.partition(BEGIN)[0]
    expected = by_hand + made(_examples(page))
    if os.environ.get("UPDATE_GOLDENS"):
        PAGE.write_text(expected, encoding="utf-8")
    assert expected == page or os.environ.get("UPDATE_GOLDENS")


def test_every_code_and_cause_is_explained() -> None:
    """In the order of the list, in whole sentences; messages about a limit contain it."""
    assert list(EXPLANATIONS) == list(Code)
    assert list(CAUSES) == list(Cause)
    for explanation in (*EXPLANATIONS.values(), *CAUSES.values()):
        assert explanation.message.endswith(".")
        assert explanation.remedy.endswith((".", "`."))
        assert (LIMIT in explanation.message) == (explanation.limit is not None)
    for code in Code:
        limit = limit_of(code, Policy())
        explained = explain(Finding(code, limit=limit))
        assert LIMIT not in explained.message
        assert (
            limit is None or EXPLANATIONS[code].limit in explained.remedy.replace("`", " ").split()
        )


def test_findings_about_a_limit_name_the_one_that_holds() -> None:
    """For each part of the gate that can report it, and for other limits than the defaults."""
    for hostile in hostile_files():
        if (
            len(hostile.file) > 1 << 20
            or hostile.name.startswith("costly")
            or "doubles" in hostile.name
        ):
            continue
        for finding in findings(hostile.file):
            assert finding.limit == limit_of(finding.code, Policy()), hostile.name
    (found,) = findings(MAGIC + long(1) + text("k") + long(1000), Policy(max_header_bytes=100))
    assert found.limit == 100
    assert "100 bytes" in explain(found).message
