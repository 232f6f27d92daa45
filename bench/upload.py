"""
Measures uploads end to end, beside alternatives: `python bench/upload.py [--quick] [--huge]`.

All servers are measured in turn in one run; medians with minimum and maximum are printed, and
ratios, because the speed of the machine varies. The service runs as processes: on a folder with
SQLite (`folder`), and on PostgreSQL, RabbitMQ, Redis and versitygw (`s3`; `s3, two` has two API
processes that share the clients). The alternatives are the same HTTP server with a handler that
discards the body (`discard`), tusd into a folder without validation (`tusd`), tusd with a hook that
does the work of the service (see `tusd_hook.py`), and a simple service (`plain`, see
`upload_plain.py`).
"""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import count
from pathlib import Path

from upload_huge import huge
from upload_measures import CLIENTS, Large, Small, large, memory_per_upload, small
from upload_servers import (
    backing,
    discarding,
    on_a_folder,
    on_servers,
    plain,
    tusd,
    tusd_with_hook,
)

from support.results import add_json_option, write_figures
from support.servers.process import work_folder

AT_ONCE = 20


def main() -> int:
    """Run all measurements; exit code 0 if every aim was met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds")
    parser.add_argument(
        "--huge", action="store_true", help="5 GiB through 256 MiB, instead of the rest"
    )
    add_json_option(parser)
    options = parser.parse_args()
    figures: dict[str, float | None] = {}
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} at the start")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(work_folder(None)))
        if options.huge:
            return 0 if huge(folder) else 1
        met = list(
            _measure(
                stack,
                folder,
                figures,
                rounds=2 if options.quick else 7,
                seconds=2.0 if options.quick else 6.0,
            )
        )
    write_figures(options.json, figures)
    return 0 if all(met) else 1


def _measure(
    stack: ExitStack,
    folder: Path,
    figures: dict[str, float | None],
    *,
    rounds: int,
    seconds: float,
) -> Iterator[bool]:
    """Print each measurement, put its figures into *figures*, and yield whether aims are met."""
    numbers = count(1)
    for name in ("tusd", "hooked"):
        (folder / name).mkdir()
    on = stack.enter_context(backing())
    ours_folder = stack.enter_context(on_a_folder(folder / "folder"))
    ours_s3 = stack.enter_context(on_servers(folder / "s3", on, apis=2))
    started = [
        stack.enter_context(tusd(folder / "tusd")),
        stack.enter_context(tusd_with_hook(folder / "hooked", on)),
    ]
    other = [server for server in started if server is not None]
    if not other:
        print("SKIP tusd: no `go` to build it with, or its modules cannot be had")
    discard = stack.enter_context(discarding())
    of_large = large([discard, ours_folder, ours_s3, *other], rounds, numbers)
    yield from _large(of_large)
    mib = memory_per_upload(ours_s3, AT_ONCE, numbers)
    yield _memory("s3", mib)
    both = replace(ours_s3, target=replace(ours_s3.target, name="s3, two"))
    one = replace(ours_s3, others=())
    simple = stack.enter_context(plain(on))
    of_small = small([one, both, simple, *other], rounds, seconds, numbers)
    yield from _small(of_small)
    figures |= _figures(of_large, of_small) | {"memory_mib_per_upload": mib}


def _figures(of_large: dict[str, Large], of_small: dict[str, Small]) -> dict[str, float | None]:
    """Return the medians, and the ratios of this service to the others; None without tusd."""
    medians: dict[str, float | None] = {}
    for name, one in of_large.items():
        medians[f"50_mb/{name}/mb_per_s"] = one.rate.median
        medians[f"50_mb/{name}/processor_ms"] = one.processor_ms.median
    for name, some in of_small.items():
        medians[f"20_kb/{name}/per_second"] = some.rate.median
        medians[f"20_kb/{name}/p99_ms"] = some.p99_ms.median
        medians[f"20_kb/{name}/processor_ms"] = some.processor_ms.median
    ratios = {
        "20_kb/times_plain": ("20_kb/s3, two/per_second", "20_kb/plain/per_second"),
        "20_kb/p99_of_plain": ("20_kb/s3, two/p99_ms", "20_kb/plain/p99_ms"),
        "20_kb/times_tusd_with_hook": (
            "20_kb/s3, two/per_second",
            "20_kb/tusd with hook/per_second",
        ),
        "20_kb/of_tusd": ("20_kb/s3, two/per_second", "20_kb/tusd/per_second"),
        "50_mb/folder_of_discard": ("50_mb/folder/mb_per_s", "50_mb/discard/mb_per_s"),
        "50_mb/s3_of_discard": ("50_mb/s3/mb_per_s", "50_mb/discard/mb_per_s"),
        "50_mb/folder_of_tusd": ("50_mb/folder/mb_per_s", "50_mb/tusd/mb_per_s"),
        "50_mb/folder_times_tusd_with_hook": (
            "50_mb/folder/mb_per_s",
            "50_mb/tusd with hook/mb_per_s",
        ),
    }
    for name, (ours, theirs) in ratios.items():
        mine, other = medians.get(ours), medians.get(theirs)
        medians[name] = None if mine is None or other is None else mine / other
    return medians


def _large(found: dict[str, Large]) -> Iterator[bool]:
    print("\n50 MB, one after the other     MB/s (least to most)           processor, ms each")
    for name, one in found.items():
        print(f"  {name:14} {one.rate!s:>36}   {one.processor_ms.median:8.0f}")
    aims = [
        ("folder", "discard", 0.5),
        ("s3", "discard", 0.35),
        ("folder", "tusd", 1.0),
        ("folder", "tusd with hook", 20.0),
    ]
    for ours, beside, aim in aims:
        if beside in found:
            yield _ratio(
                f"{ours} / {beside}", found[ours].rate.median / found[beside].rate.median, aim
            )


def _memory(name: str, mib: float) -> bool:
    print(
        f"\nmemory of {name}: {mib:.1f} MiB for each of {AT_ONCE} uploads of 50 MB at once"
        " (aim at most 8)"
    )
    return mib <= 8


def _small(found: dict[str, Small]) -> Iterator[bool]:
    print(
        f"\n20 kB, {CLIENTS} clients             uploads/s (least to most)"
        "      p99, ms   processor, ms each   answers"
    )
    for name, one in found.items():
        print(
            f"  {name:14} {one.rate!s:>36}   {one.p99_ms.median:8.0f}"
            f"   {one.processor_ms.median:8.1f}   {one.statuses}"
        )
    best = found["s3, two"]
    yield _ratio("s3, two, uploads/s", best.rate.median, 250)
    yield best.p99_ms.median < 150
    yield _ratio("s3, two / plain", best.rate.median / found["plain"].rate.median, 10)
    ratio = found["s3"].rate.median / found["plain"].rate.median
    print(f"  one API process alone {ratio:8.2f} x plain")


def _ratio(what: str, value: float, aim: float) -> bool:
    print(
        f"  {what:20} {value:8.2f}   (aim at least {aim:g}) {'met' if value >= aim else 'NOT MET'}"
    )
    return value >= aim


if __name__ == "__main__":
    sys.exit(main())
