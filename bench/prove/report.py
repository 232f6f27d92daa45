"""The results of all claims as a table, as Markdown and as JSON; pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from prove.model import Result, State, shown

HEAD: Final = ("claim", "claimed in", "goal", "measured", "result", "seed", "seconds")


def row(result: Result) -> tuple[str, ...]:
    """Return the cells of a claim; several claims of one run repeat its seconds."""
    claim = result.claim
    measured = "" if result.measured is None else shown(result.measured)
    state = f"{result.state}: {result.reason}" if result.reason else str(result.state)
    return (
        claim.text,
        ", ".join(dict.fromkeys(quote.document for quote in claim.quotes)),
        str(claim.goal),
        f"{measured} {claim.goal.unit}".strip() if measured else "",
        state,
        "" if result.seed is None else str(result.seed),
        f"{result.seconds:.0f}",
    )


def markdown(results: Sequence[Result], machine: Mapping[str, Any]) -> str:
    """Return a page with the machine, the counts and the table."""
    lines = [
        "# Claims",
        "",
        ", ".join(f"{name}: {value}" for name, value in machine.items()),
        "",
        summary(results),
        "",
        _line(HEAD),
        _line(["---"] * len(HEAD)),
        *(_line(row(result)) for result in results),
    ]
    return "\n".join(lines) + "\n"


def document(results: Sequence[Result], machine: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same as an object for JSON."""
    return {
        "machine": dict(machine),
        "claims": [
            {
                "id": result.claim.id,
                "text": result.claim.text,
                "documents": [quote.document for quote in result.claim.quotes],
                "goal": str(result.claim.goal),
                "measured": result.measured,
                "result": str(result.state),
                "reason": result.reason,
                "seed": result.seed,
                "seconds": round(result.seconds, 1),
            }
            for result in results
        ],
    }


def summary(results: Sequence[Result]) -> str:
    """Return how many claims have each result."""
    counts = Counter(result.state for result in results)
    return f"{len(results)} claims: " + ", ".join(f"{counts[state]} {state}" for state in State)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
