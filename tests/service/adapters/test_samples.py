import runpy
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[3] / "examples" / "samples"


@pytest.mark.parametrize("record_type", ["BloodGlucoseRecord", "HeartRateRecord", "WearableSample"])
def test_the_sample_files_are_what_their_script_writes(record_type: str) -> None:
    """Nobody edits a sample by hand, and the script writes the same bytes every time."""
    script = runpy.run_path(str(FOLDER / "write_samples.py"))
    assert (FOLDER / f"{record_type}.avro").read_bytes() == script["sample"](record_type)
