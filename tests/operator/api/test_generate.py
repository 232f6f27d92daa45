"""Generated files follow from the API type."""

from pathlib import Path

import pytest

from healthingest_operator.api.generate import generated_files

ROOT = Path(__file__).parents[3]
FILES = generated_files(ROOT)


@pytest.mark.parametrize("path", sorted(FILES), ids=lambda path: path.name)
def test_generated_files_are_those_of_the_model(path: Path) -> None:
    """`make crds` writes them."""
    assert path.read_text(encoding="utf-8") == FILES[path]


def test_the_schema_has_no_marks_of_ours() -> None:
    """The API server refuses unknown extensions."""
    for path, text in FILES.items():
        marks = {word for word in text.split() if word.startswith("x-") and word.endswith(":")}
        assert all(mark.startswith("x-kubernetes-") for mark in marks), path
