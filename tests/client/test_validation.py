"""`healthingest validate`: validated offline, told for people and for machines."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from healthingest_client.main import main
from support.samples import block, good_file, hostile_files, raw_file, record_of

ROOT = Path(__file__).parents[2]
FIELDS = (
    "file",
    "valid",
    "record_type",
    "schema_fingerprint",
    "codec",
    "blocks",
    "record_count",
    "findings",
)
PLACE = ("block", "record", "offset", "path", "pointer", "nearest_name")
FINDING = ("code", "message", "remedy", *PLACE, "cause", "limit")


@pytest.fixture(name="good")
def _good(tmp_path: Path) -> str:
    path = tmp_path / "good.avro"
    path.write_bytes(good_file(100))
    return str(path)


@pytest.fixture(name="wrong")
def _wrong(tmp_path: Path) -> str:
    path = tmp_path / "wrong.avro"
    path.write_bytes(good_file(100)[:-1] + b"\x00")
    return str(path)


def test_tells_machines_one_object_a_line(
    good: str, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every field of the format, for a file that passes and for one that does not."""
    assert main(["validate", "--json", good, wrong]) == 1
    valid, refused = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert tuple(valid) == tuple(refused) == FIELDS
    assert (valid["file"], valid["valid"], valid["record_type"]) == (good, True, "HeartRateRecord")
    assert (valid["record_count"], valid["findings"]) == (100, [])
    assert (refused["valid"], [finding["code"] for finding in refused["findings"]]) == (
        False,
        ["sync_wrong"],
    )
    assert tuple(refused["findings"][0]) == FINDING


def test_tells_people_what_and_where(
    good: str, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each file has a line, and each finding a line with the place, message and remedy."""
    main(["validate", good, wrong])
    first, second, place, message, remedy = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{good}: valid, 100 HeartRateRecord in ")
    assert second == f"{wrong}: refused"
    assert place.strip().startswith("sync_wrong at block ")
    assert message.strip() == "The sync marker after a block is not that of the header."
    assert remedy.strip().startswith("The file was damaged")


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", ("magic_wrong at byte 0", "The file is empty.")),
        (b'{"name": "Anna"}', ("magic_wrong at byte 0", "The file is JSON")),
        (
            raw_file(record_of("int", name=""), []),
            ("schema_name_invalid at schema /name, near f", "empty name", "polars"),
        ),
        (
            raw_file([record_of("int"), record_of("int")], []),
            ("schema_name_redefined at schema /1/name, near R",),
        ),
    ],
)
def test_tells_people_what_a_file_is_instead(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, lines: tuple[str, ...]
) -> None:
    """What it looks like, or where its schema is wrong, and what to do; nothing of its content."""
    path = tmp_path / "file"
    path.write_bytes(content)
    assert main(["validate", str(path)]) == 1
    shown = capsys.readouterr().out
    assert all(line in shown for line in lines)
    assert "Anna" not in shown


def test_its_status_tells_the_worst(good: str, wrong: str, tmp_path: Path) -> None:
    """0 all valid, 1 some refused, 2 something could not be read."""
    missing = str(tmp_path / "missing.avro")
    assert main(["validate", good, good]) == 0
    assert main(["validate", wrong, good]) == 1
    assert main(["validate", wrong, missing, good]) == 2
    assert main(["validate", str(tmp_path)]) == 2


def test_reads_standard_input(wrong: str) -> None:
    """`-` is a file as any other."""
    command = [sys.executable, "-m", "healthingest_client.main", "validate", "--json", "-"]
    done = subprocess.run(
        command, input=Path(wrong).read_bytes(), capture_output=True, timeout=20, check=False
    )
    assert done.returncode == 1
    assert json.loads(done.stdout)["file"] == "-"


def test_knows_the_schemas_that_are_allowed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    With a folder, a correct file of another schema is refused.

    The folder itself must be right.
    """
    folder = ROOT / "contract" / "healthingest_contract" / "schemas"
    sample = str(ROOT / "examples" / "samples" / "BloodGlucoseRecord.avro")
    stranger = tmp_path / "stranger.avro"
    stranger.write_bytes(good_file(1))
    assert main(["validate", "--schemas", str(folder), sample]) == 0
    assert main(["validate", "--schemas", str(folder), str(stranger)]) == 1
    assert main(["validate", "--schemas", str(tmp_path / "missing"), sample]) == 2
    (tmp_path / "broken.avsc").write_text("{")
    assert main(["validate", "--schemas", str(tmp_path), sample]) == 2
    assert "broken.avsc" in capsys.readouterr().err


def test_takes_schemas_that_refer_to_each_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    In folders, in any order, with comments and a byte order mark.

    A missing type is named with its file.
    """
    metric = {
        "type": "record",
        "name": "Metric",
        "namespace": "org.z",
        "fields": [{"name": "v", "type": "double"}],
    }
    night = {
        "type": "record",
        "name": "Night",
        "namespace": "org.a",
        "fields": [{"name": "m", "type": "org.z.Metric"}],
    }
    (tmp_path / "a" / "..data").mkdir(parents=True)
    (tmp_path / "z").mkdir()
    (tmp_path / "a" / "night.avsc").write_bytes(
        b"\xef\xbb\xbf// one night\n" + json.dumps(night).encode()
    )
    (tmp_path / "a" / "..data" / "night.avsc").write_text("hidden, as a mounted ConfigMap has it")
    (tmp_path / "z" / "metric.avsc").write_text(json.dumps(metric))
    file = tmp_path / "night.avro"
    night["fields"] = [{"name": "m", "type": metric}]
    file.write_bytes(raw_file(night, [block(1, bytes(8))]))
    arguments = ["validate", "--schemas", str(tmp_path), str(file)]
    assert main(arguments) == 0
    (tmp_path / "z" / "metric.avsc").unlink()
    capsys.readouterr()
    assert main(arguments) == 2
    assert "a/night.avsc#/fields/0/type" in (shown := capsys.readouterr().err)
    assert "`org.z.Metric`" in shown


def test_refuses_a_name_that_could_be_a_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the server cannot make a key of is refused here too."""
    path = tmp_path / "path.avro"
    path.write_bytes(hostile_files()["a path as record name"])
    assert main(["validate", "--json", str(path)]) == 1
    assert json.loads(capsys.readouterr().out)["findings"]


class Terminal(io.StringIO):
    """A standard error that says it is a terminal."""

    def isatty(self) -> bool:
        """Pretend."""
        return True


def test_shows_a_bar_for_large_files_alone(
    tmp_path: Path, good: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal a large file has a progress bar; a small one has none."""
    large = tmp_path / "large.avro"
    large.write_bytes(good_file(10))
    os.truncate(large, 65 << 20)
    shown = []
    for name in (good, str(large)):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        main(["validate", name])
        shown.append("large.avro" in terminal.getvalue())
    assert shown == [False, True]
