"""The claims of the documents, which `make prove` measures, agree with the documents."""

from pathlib import Path

import pytest
from prove.claims import CLAIMS, NO_CLAIMS, README
from prove.measurements import MEASUREMENTS
from prove.model import Claim, Goal, Outcome, Quote, State, outcome_of_tests, result_of
from prove.readme import uncovered
from prove.report import markdown, row, summary
from prove.run import junit, unfinished

ROOT = Path(__file__).resolve().parents[2]
CLAIM = Claim("lost", "lost uploads", (Quote(README, "a | b"),), "faults", "lost", Goal("=", 0))


def test_each_quote_is_in_its_document() -> None:
    """A sentence that changes needs another look at its goal."""
    pages = {
        quote.document: (ROOT / quote.document).read_text(encoding="utf-8")
        for claim in CLAIMS
        for quote in claim.quotes
    }
    missing = [
        f"{claim.id}: {quote.text}"
        for claim in CLAIMS
        for quote in claim.quotes
        if quote.text not in pages[quote.document]
    ]
    assert missing == []
    assert [text for text in NO_CLAIMS if text not in pages[README]] == []


def test_each_number_of_the_readme_has_a_claim() -> None:
    """Also each "never"; versions are named as exempt."""
    quotes = [quote.text for claim in CLAIMS for quote in claim.quotes if quote.document == README]
    page = (ROOT / README).read_text(encoding="utf-8")
    assert uncovered(page, [*quotes, *NO_CLAIMS]) == []


def test_each_claim_is_measured_and_each_measurement_has_a_claim() -> None:
    """Ids are used once; programs and tests exist."""
    measured = [one.id for one in MEASUREMENTS]
    assert len(set(measured)) == len(measured)
    assert len({claim.id for claim in CLAIMS}) == len(CLAIMS) >= 40
    assert {claim.measurement for claim in CLAIMS} == set(measured)
    assert all(claim.quotes for claim in CLAIMS)
    for one in MEASUREMENTS:
        programs = [word for word in one.command if word.endswith(".py")]
        assert [word for word in programs if not (ROOT / word).is_file()] == []
        for test in one.tests:
            path, _, name = test.partition("::")
            assert f"def {name}" in (ROOT / path).read_text(encoding="utf-8"), test


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("It takes 5 s. It is never lost.", ["5", "never"]),
        ("| uploads | 1,224 | S3 |", ["1,224"]),
        ("[a page](docs/0001-page.md) of v1alpha1", []),
        ("at most 7 % more", []),
    ],
)
def test_uncovered_numbers_are_found(line: str, left: list[str]) -> None:
    """Code, targets of links and parts of names are no claims."""
    page = f"# Page\n\n```sh\nrun 1\n```\n{line}\n"
    found = uncovered(page, ["at most 7 % more"])
    assert [one.partition(": ")[0] for one in found] == left
    assert all(one.endswith(line) for one in found)


@pytest.mark.parametrize(
    ("outcome", "state", "reason"),
    [
        (Outcome(1, {"lost": 0.0}), State.PASS, ""),
        (Outcome(1, {"lost": 1.0}), State.FAIL, ""),
        (Outcome(1, {"lost": None}), State.SKIPPED, "cannot be measured on this machine"),
        (Outcome(1, {"found": 0.0}), State.FAIL, "no figure `lost`"),
        (Outcome(1, skipped="no etcd"), State.SKIPPED, "no etcd"),
        (Outcome(1, failed="exit code 2"), State.FAIL, "exit code 2"),
        (Outcome(1), State.FAIL, "no figures"),
        (
            outcome_of_tests(1, passed=0, failed=0, skipped=0, reason=""),
            State.FAIL,
            "no test was run",
        ),
        (
            outcome_of_tests(1, passed=0, failed=0, skipped=2, reason="no etcd"),
            State.SKIPPED,
            "no etcd",
        ),
    ],
)
def test_a_claim_holds_only_with_a_figure_that_meets_its_goal(
    outcome: Outcome, state: State, reason: str
) -> None:
    """A missing figure fails; what cannot be measured says why."""
    result = result_of(CLAIM, outcome)
    assert (result.state, result.reason) == (state, reason)


def test_goals_compare() -> None:
    """The limits themselves meet them."""
    assert Goal("≤", 5).is_met(5)
    assert not Goal("≤", 5).is_met(5.1)
    assert Goal("≥", 5).is_met(5)
    assert not Goal("≥", 5).is_met(4.9)
    assert str(Goal("≥", 1000, "/s")) == "≥ 1,000 /s"


def test_the_table_has_a_row_for_each_claim() -> None:
    """With measured figure, result and seed."""
    results = [
        result_of(CLAIM, Outcome(12.4, {"lost": 0.0}, seed=7)),
        result_of(CLAIM, Outcome(0, skipped="no | etcd")),
    ]
    page = markdown(results, {"processors": 2})
    assert "| lost uploads | README.md | = 0 | 0 | pass | 7 | 12 |\n" in page
    assert "| SKIPPED: no \\| etcd |" in page
    assert summary(results) == "2 claims: 1 pass, 0 fail, 1 SKIPPED"
    assert summary(results) in page
    assert len({len(row(result)) for result in results}) == 1


def test_results_of_tests_are_read(tmp_path: Path) -> None:
    """From pytest's file: an error counts as failed."""
    file = tmp_path / "tests.xml"
    file.write_text(
        "<testsuites><testsuite><testcase/><testcase><failure/></testcase>"
        '<testcase><error/></testcase><testcase><skipped message="no etcd"/></testcase>'
        "</testsuite></testsuites>",
        encoding="utf-8",
    )
    assert junit(1, file).figures == {"passed": 1, "failed": 2, "skipped": 1}


def test_a_missing_server_skips(tmp_path: Path) -> None:
    """Every other end without figures fails."""
    log = tmp_path / "run.log"
    log.write_text("Traceback\nsupport.servers.process.ServerUnavailableError: no `etcd` here\n")
    assert unfinished(1, log, 1).skipped == "no `etcd` here"
    log.write_text("Traceback\nValueError: no `etcd` here\n")
    assert unfinished(1, log, 1).failed == "exit code 1: run.log"
