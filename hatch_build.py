"""
Compiles the walker of the Avro gate while a wheel, or an editable installation, is built.

Without a compiler, or with HEALTHINGEST_PURE set, nothing is compiled and the same sources are
interpreted: slowly, with the same answers. `avrogate.compiled` tells which it is.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_FOLDER: Final = Path("gate", "avrogate")
_MODULES: Final = ("values", "walker", "snappy")
_DIRECTIVES: Final = {
    "language_level": 3,
    "boundscheck": False,  # the walker checks every position itself
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
}


class CompileHook(BuildHookInterface[Any]):
    """Runs before the files of a wheel are gathered."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """
        Compile in place.

        What comes out of it belongs to the wheel, which is then one for this platform.
        """
        del version
        for old in (
            *Path(self.root, _FOLDER).glob("*.so"),
            *Path(self.root, _FOLDER).glob("*.pyd"),
        ):
            old.unlink()
        if os.environ.get("HEALTHINGEST_PURE"):
            return
        try:
            compile_gate(Path(self.root))
        # BLE001: no Cython, compiler or header: many types, one answer
        except (Exception, SystemExit) as error:  # noqa: BLE001
            self.app.display_warning(
                f"The Avro gate is not compiled, it will be slow: {type(error).__name__}: {error}"
            )
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["artifacts"] += [f"{_FOLDER.as_posix()}/*.so", f"{_FOLDER.as_posix()}/*.pyd"]


def compile_gate(root: Path) -> None:
    """
    Compile in place below *root*; whatever fails, raises.

    Images call it, for they must not be slow.
    """
    from Cython.Build import cythonize  # noqa: PLC0415 - may be missing
    from setuptools import Distribution, Extension  # noqa: PLC0415 - as above

    flags = [] if sys.platform == "win32" else ["-O3", "-g0", "-finline-limit=20000"]
    before = Path.cwd()
    os.chdir(root)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            extensions = [
                Extension(
                    f"avrogate.{name}", [str(_FOLDER / f"{name}.py")], extra_compile_args=flags
                )
                for name in _MODULES
            ]
            built = cythonize(
                extensions,
                build_dir=scratch,
                compiler_directives=_DIRECTIVES,
                include_path=["gate"],
                quiet=True,
            )
            distribution = Distribution(
                {"name": "avrogate", "package_dir": {"": "gate"}, "ext_modules": built}
            )
            command = distribution.get_command_obj("build_ext")
            command.inplace = True
            command.build_temp = scratch
            distribution.run_command("build_ext")
    finally:
        os.chdir(before)
