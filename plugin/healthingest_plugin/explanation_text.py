"""An explanation as text for people."""

from collections.abc import Iterator

from healthingest_plugin.explain import Explanation, Finding


def text_of(explanation: Explanation) -> str:
    """Return the explanation as lines of text."""
    return "\n".join(_lines(explanation)) + "\n"


def _lines(explanation: Explanation) -> Iterator[str]:
    place = f"HealthIngest {explanation.namespace}/{explanation.name}"
    state = "is Ready" if explanation.is_ready else "is not Ready"
    cause = explanation.cause
    if cause is None:
        yield f"{place} {state}. Nothing is wrong."
    else:
        yield f"{place} {state}."
        yield ""
        yield from _full("Cause", cause)
    for other in explanation.others:
        yield ""
        yield from _full("Also", other)
    if explanation.consequences:
        yield ""
        yield "Only consequences:"
        for finding in explanation.consequences:
            yield f"  {_title(finding)}: {finding.message}"
    if explanation.notes:
        yield ""
        yield from (f"Note: {note}" for note in explanation.notes)


def _full(heading: str, finding: Finding) -> Iterator[str]:
    yield f"{heading}: {_title(finding)}"
    yield f"  {finding.message}"
    yield f"  Remedy:  {finding.remedy}"
    if finding.where:
        yield f"  Where:   {finding.where}"
    yield f"  Command: {finding.command}"


def _title(finding: Finding) -> str:
    return f"{finding.condition}, {finding.reason}" if finding.condition else finding.reason
