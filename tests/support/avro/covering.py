"""
Measures how much of the interpreted walker the malicious files and some mutants reach.

`python -m support.avro.covering` is a process of its own, because the process of a test may be
measured already. It prints a line for each module: name, per cent of lines and branches.
"""

import io
import random
from types import ModuleType

import coverage

from support.avro.encoding import CODECS, double, file_of, items, long, one, record, text
from support.avro.hostile import hostile_files
from support.avro.mutants import mutants
from support.avro.pure import pure

_MODULES = ("walker", "values", "snappy")
_SLOW = ("costly", "100,001 blocks", *(f"{codec}: more doubles than fit" for codec in CODECS))
"""Files that are slow in the interpreted form, and reach nothing new."""


def _decimals() -> list[bytes]:
    schema = {"type": "bytes", "logicalType": "decimal", "precision": 5}
    values = (0, 1, -1, 99_999, -99_999, 2**15, -(2**15))
    return [
        one(schema, text(value.to_bytes(size, "big", signed=True)))
        for value in values
        for size in (3, 4)
    ] + [one(schema, text(b"\x01"))]


def _validate_written(gate: ModuleType, file: bytes, **policy: int) -> None:
    for size in (len(file) or 1, 7 if len(file) < 5000 else 4096):
        try:
            gate.check(
                [file[start : start + size] for start in range(0, len(file), size)],
                gate.Policy(**policy),
            )
        except gate.RefusedError:
            continue


def main() -> None:
    """Validate the hostile files, and print the coverage."""
    hostile = [hostile.file for hostile in hostile_files() if not hostile.name.startswith(_SLOW)]
    measured = coverage.Coverage(branch=True, include=["*/gate/avrogate/*"], data_file=None)
    measured.start()
    gate = pure()
    for file in (*hostile, *mutants(3, 1500), *_decimals()):
        _validate_written(gate, file)
    for type_, item in (("long", long(300)), ("int", long(-300)), ("double", double(1))):
        _validate_written(
            gate, one({"type": "array", "items": type_}, long(9) + item * 9 + long(0))
        )
    # S311: random data, no secret
    for data in (b"health" * 90_000, bytes(random.Random(1).randbytes(70_000))):  # noqa: S311
        _validate_written(gate, file_of(record("string"), [(1, text(data))], "snappy"))
    _validate_written(gate, one("int", long(1)), max_steps=0, max_steps_per_byte=0)
    _validate_written(
        gate, one({"type": "array", "items": "int"}, items(long(1))), max_datum_depth=0
    )
    measured.stop()
    for name in _MODULES:
        out = io.StringIO()
        per_cent = measured.report(
            include=[f"*/gate/avrogate/{name}.py"], file=out, show_missing=True
        )
        print(f"{name} {per_cent:.1f}")  # noqa: T201 - what it is for


if __name__ == "__main__":
    main()
