"""`make simulate SEEDS=n FROM=seed`: as many histories; the seed of one that breaks a promise is printed."""

import argparse
import sys
import time

from simulation.seeds import replay


def main() -> int:
    """Run them one after the other; 1 when one failed."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--seeds", type=int, default=1000)
    words.add_argument("--start", type=int, default=0)
    chosen = words.parse_args()
    began, failed = time.monotonic(), []
    for seed in range(chosen.start, chosen.start + chosen.seeds):
        try:
            digest = replay(seed)
        except Exception as error:
            if chosen.seeds == 1:
                raise
            failed.append(seed)
            sys.stdout.write(f"seed {seed} failed ({error}); alone: make simulate SEEDS=1 FROM={seed}\n")
        else:
            if chosen.seeds == 1:
                sys.stdout.write(f"seed {seed}: {digest}\n")
    seconds = time.monotonic() - began
    sys.stdout.write(f"{chosen.seeds} histories in {seconds:.0f} s, {len(failed)} failed\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
