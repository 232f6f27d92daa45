"""
`make simulate SEEDS=n FROM=seed`: as many histories.

The seed of one that breaks a promise is printed.
"""

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from simulation.seeds import replay
from support.results import add_json_option, write_figures


def main() -> int:
    """Run them on all processors; 1 when one failed."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--seeds", type=int, default=1000)
    words.add_argument("--start", type=int, default=0)
    add_json_option(words)
    chosen = words.parse_args()
    if chosen.seeds == 1:
        sys.stdout.write(f"seed {chosen.start}: {replay(chosen.start)}\n")
        return 0
    began = time.monotonic()
    failed = 0
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        seeds = range(chosen.start, chosen.start + chosen.seeds)
        for done, trouble in enumerate(pool.map(_trouble, seeds, chunksize=10), start=1):
            if trouble is not None:
                failed += 1
                sys.stdout.write(f"{trouble}\n")
            if done % 1000 == 0:
                sys.stdout.write(
                    f"{done} histories in {time.monotonic() - began:.0f} s, {failed} failed\n"
                )
            sys.stdout.flush()
    seconds = time.monotonic() - began
    sys.stdout.write(f"{chosen.seeds} histories in {seconds:.0f} s, {failed} failed\n")
    write_figures(chosen.json, {"histories": chosen.seeds, "failed": failed})
    return 1 if failed else 0


def _trouble(seed: int) -> str | None:
    """What broke in the history of *seed*; None: nothing."""
    try:
        replay(seed)
    # BLE001: whatever it is, the seed is told and the others go on
    except Exception as error:  # noqa: BLE001
        return f"seed {seed} failed ({error}); alone: make simulate SEEDS=1 FROM={seed}"
    return None


if __name__ == "__main__":
    sys.exit(main())
