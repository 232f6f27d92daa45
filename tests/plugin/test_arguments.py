"""The command line: options after the command, durations, numbers."""

import pytest

from healthingest_plugin.arguments import MOST_LOG_LINES, kubectl_options, parser


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("5m", 300), ("1h", 3600), ("7", 7)])
def test_durations_have_units(text: str, seconds: float) -> None:
    """Without one they are seconds."""
    options = parser().parse_args(["pause", "clinic", "--timeout", text])
    assert options.timeout == seconds


@pytest.mark.parametrize("text", ["0s", "-5s", "soon", "5 minutes", ""])
def test_what_is_no_duration_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The message has an example."""
    with pytest.raises(SystemExit) as stopped:
        parser().parse_args(["pause", "clinic", f"--timeout={text}"])
    assert stopped.value.code == 2
    assert "is no duration greater than 0, such as 30s" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["0", "-1", str(MOST_LOG_LINES + 1), "many"])
def test_a_number_of_lines_has_a_range(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A log is read into memory."""
    with pytest.raises(SystemExit):
        parser().parse_args(["report", "clinic", "--output", "f", f"--log-lines={text}"])
    assert f"is no number from 1 to {MOST_LOG_LINES}" in capsys.readouterr().err


def test_options_for_kubectl_are_passed_on() -> None:
    """Those that are not given are left to kubectl."""
    words = ["explain", "clinic", "--context", "production", "--as", "ada"]
    found = kubectl_options(parser().parse_args(words))
    assert found.words == ["--context=production", "--as=ada"]
