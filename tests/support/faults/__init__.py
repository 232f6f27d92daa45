"""The parts of `make faults`: a history, its checker, and the environment of the run."""
