"""What docs/avro-gate.md says of codes is what there is."""

import re
from pathlib import Path

from avrogate import Code
from support.avro.hostile import hostile_files

PAGE = Path(__file__).parents[2] / "docs" / "avro-gate.md"


def test_every_code_is_explained_with_an_example_that_is_made() -> None:
    """Each has one row, and the file that the row names is refused with that code."""
    rows = re.findall(r"^\| `(\w+)` \| .+ \| (?:`(.+)`|-) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [code for code, _ in rows] == sorted((code for code, _ in rows), key=[*map(str, Code)].index)
    assert {code for code, _ in rows} == set(Code)
    examples = {hostile.name: hostile.code for hostile in hostile_files()}
    assert [(code, name) for code, name in rows if name and examples.get(name) != code] == []
