"""
The adapters: one module or package for each external system, named after it.

An adapter takes plain keyword arguments, and is opened with `async with`. It gives each call a
deadline, and translates the errors of its library into those of the core (`raise … from`). Unknown
errors propagate. It reads no settings and imports no adapter of another system.
"""
