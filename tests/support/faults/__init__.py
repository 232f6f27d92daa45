"""What `make faults` is made of: a history, its checker, and the world in which it happens."""
