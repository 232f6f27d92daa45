"""What people and programs see while files are uploaded."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Final, Self, TextIO

from tqdm import tqdm

from healthingest_client.errors import ProblemError
from healthingest_client.folder_upload import FileResult, FoundFile
from healthingest_client.validation import REFUSED, UNREADABLE, VALID, finding_lines

_SHOWN_FROM_SECONDS: Final = 2.0
_EXIT_CODES: Final = {"refused": REFUSED, "unreadable": UNREADABLE}


class Pauses:
    """Waits before a request is repeated, and shows long waits."""

    def __init__(self) -> None:
        self.show: Callable[[float], None] | None = None

    async def __call__(self, seconds: float) -> None:
        """Wait."""
        if self.show is not None and seconds >= _SHOWN_FROM_SECONDS:
            self.show(seconds)
        await asyncio.sleep(seconds)


class UploadDisplay:
    """
    Prints a line for each file, and shows a progress bar on a terminal.

    Lines are JSON objects if *as_json*, or if *out* is no terminal.
    """

    def __init__(
        self, files: Iterable[FoundFile], *, as_json: bool, out: TextIO, errors: TextIO
    ) -> None:
        self._line = json_line if as_json or not out.isatty() else text_lines
        self._out = out
        self._errors = errors
        self._counts: Counter[str] = Counter()
        self._bar = tqdm(
            total=sum(one.file.size_bytes for one in files),
            unit="B",
            unit_scale=True,
            leave=False,
            file=errors,
            disable=not errors.isatty(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()
        if self._errors.isatty():
            counts = ", ".join(f"{number} {status}" for status, number in self._counts.items())
            self._errors.write(f"{self._counts.total()} files: {counts or 'none uploaded'}\n")

    @property
    def exit_code(self) -> int:
        """The exit code for the files that were shown."""
        return max((_EXIT_CODES.get(status, VALID) for status in self._counts), default=VALID)

    def advance(self, number: int) -> None:
        """Count bytes."""
        self._bar.update(number)

    def show_wait(self, seconds: float) -> None:
        """Show that the server asked to wait, or does not answer."""
        self._bar.set_postfix_str(f"waiting {seconds:.0f} s")

    def show(self, result: FileResult) -> None:
        """Print the result of a file."""
        self._counts[result.status] += 1
        self._bar.set_postfix_str(f"{self._counts.total()} files", refresh=False)
        self._bar.clear()
        self._out.write(self._line(result))
        self._out.flush()
        self._bar.refresh()


def json_line(result: FileResult) -> str:
    """Return a result as a JSON object in a line."""
    line: dict[str, Any] = {
        **(result.receipt or {}),
        "file": result.file,
        "status": result.status,
        "file_size_bytes": result.size_bytes,
        "sent_bytes": result.sent_bytes,
    }
    if result.upload_id is not None:
        line["upload_id"] = result.upload_id
    if result.error is not None:
        line["error"] = result.error
    if result.problem is not None:
        line["problem"] = result.problem.problem
    return json.dumps(line, sort_keys=True) + "\n"


def text_lines(result: FileResult) -> str:
    """Return a result as lines for people."""
    if result.problem is not None:
        return "\n".join([f"{result.file}: refused", *problem_lines(result.problem)]) + "\n"
    if result.error is not None:
        return f"{result.file}: {result.error}\n"
    word = result.status.replace("-", " ")
    return f"{result.file}: {word}, upload {result.upload_id}\n"


def problem_lines(problem: ProblemError) -> list[str]:
    """Return the findings of a refused file, or the problem's own text."""
    findings = problem.problem.get("findings")
    if not isinstance(findings, list) or not findings:
        return [f"  {problem}"]
    return [line for finding in findings for line in finding_lines(finding)]
