"""The interpreted form of the gate: a second copy of the package from `.py` files only."""

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

import avrogate

_FOLDER = Path(avrogate.__file__).parent


class _SourcesOnly(PathFinder):
    """Finds modules of the package as source files, never as compiled modules."""

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a module of the package, or None for another module."""
        del path, target
        if fullname == "avrogate":
            places = [str(_FOLDER)]
            return spec_from_file_location(
                fullname, _FOLDER / "__init__.py", submodule_search_locations=places
            )
        parent, _, name = fullname.rpartition(".")
        if parent != "avrogate":
            return None
        source = str(_FOLDER / f"{name}.py")
        return spec_from_file_location(fullname, source, loader=SourceFileLoader(fullname, source))


@contextmanager
def _without_the_package() -> Iterator[None]:
    def ours() -> dict[str, ModuleType]:
        return {
            name: module
            for name, module in sys.modules.items()
            if name.partition(".")[0] == "avrogate"
        }

    kept = ours()
    for name in kept:
        del sys.modules[name]
    sys.meta_path.insert(0, _SourcesOnly)
    try:
        yield
    finally:
        sys.meta_path.remove(_SourcesOnly)
        for name in ours():
            del sys.modules[name]
        sys.modules.update(kept)


@cache
def pure() -> ModuleType:
    """Return the interpreted package; its classes are not those of `avrogate`."""
    with _without_the_package():
        return importlib.import_module("avrogate")
