"""The commands of the guide run as they are written."""

import os
import sys
from pathlib import Path

from support import pages
from support.avro_files import write_file
from support.client_service import PASSWORD


def test_the_guide(server: str, email: str, tmp_path: Path) -> None:
    """Each command succeeds, in the order of the page."""
    for number in range(2):
        write_file(tmp_path / "measurements" / f"{number}.avro", 300_000 * number + 1, number)
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HEALTHINGEST_PASSWORD": PASSWORD,
        "XDG_CONFIG_HOME": str(tmp_path / "own"),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
    }
    table = {"https://ingest.example": server, "ada@clinic.example": email}
    shell = pages.Shell(tmp_path, environment)
    results = list(shell.run_all(pages.story("command-line"), table))
    assert len(results) >= 9
    copies = sorted((tmp_path / "copies").iterdir())
    sent = sorted(path.read_bytes() for path in (tmp_path / "measurements").iterdir())
    assert sorted(path.read_bytes() for path in copies) == sent
    results_file = (tmp_path / "results.jsonl").read_text(encoding="utf-8")
    assert results_file.count("uploaded-before") == len(sent)
