"""
Fills .venv, or the folder ENVIRONMENT, from hash-locked requirements files, through uv.

`make setup` and `make demo` call it: `python requirements/install.py requirements/dev.txt`.
It uses the standard library only, and is safe to repeat. uv comes from PATH, else from
requirements/bootstrap.txt by pip. uv does not read the configuration of pip, so pip's package
index, folders of wheels and certificates are handed over.

The source folders become importable by a .pth file, without a build: the worker processes of the
gate ignore PYTHONPATH.
"""

# ruff: noqa: S603, S607 - it starts Python, uv and apt-get with fixed arguments

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
ENVIRONMENT: Final = Path(os.environ.get("ENVIRONMENT") or ROOT / ".venv").absolute()
BIN: Final = ENVIRONMENT / ("Scripts" if os.name == "nt" else "bin")
PYTHON: Final = BIN / "python"
SOURCES: Final = ("contract", "gate", "service", "operator", "client")
UV_LOCK: Final = ROOT / "requirements" / "bootstrap.txt"
NEEDED_PYTHON: Final = (3, 11)

# pip's option: the variable of uv, and what separates several values there.
UV_VARIABLES: Final = {
    "index-url": ("UV_DEFAULT_INDEX", " "),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "no-index": ("UV_NO_INDEX", " "),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "cert": ("SSL_CERT_FILE", " "),
}
# Later sections override earlier ones, as in pip.
PIP_SECTIONS: Final = ("global", "install", ":env:")


def main(arguments: list[str]) -> int:
    """Install the requirements files named by *arguments*; returns the exit code."""
    if sys.version_info < NEEDED_PYTHON:
        sys.stderr.write("Python 3.11 or later is needed\n")
        return 1
    try:
        make_environment()
        uv = shutil.which("uv") or install_uv()
        variables = uv_variables(pip_configuration()) | dict(os.environ)
        command = [uv, "pip", "install", "--quiet", "--python", str(PYTHON), "--require-hashes"]
        files = [f"--requirement={name}" for name in arguments]
        subprocess.run([*command, *files], env=variables, check=True)
        make_importable()
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"failed with exit code {error.returncode}: {error.cmd[0]}\n")
        return 1
    return 0


def make_importable() -> None:
    """Put the source folders on the import path of .venv."""
    question = "import sysconfig; print(sysconfig.get_path('purelib'))"
    folder = subprocess.check_output([str(PYTHON), "-c", question], text=True).strip()
    lines = "".join(f"{ROOT / name}\n" for name in SOURCES)
    Path(folder, "healthingest_sources.pth").write_text(lines, encoding="utf-8")


def make_environment() -> None:
    """Make .venv; where Debian's python3-venv is missing, install it or say how."""
    if PYTHON.exists():
        return
    uv = shutil.which("uv")
    if uv:
        command = [uv, "venv", "--quiet", "--python", sys.executable, str(ENVIRONMENT)]
        subprocess.run(command, check=True)
        return
    if not _has_ensurepip():
        _install_python_venv()
    subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)


def _has_ensurepip() -> bool:
    return (
        subprocess.run(
            [sys.executable, "-c", "import ensurepip, venv"], check=False, stderr=subprocess.DEVNULL
        ).returncode
        == 0
    )


def _install_python_venv() -> None:
    if os.environ.get("NO_INSTALL") or os.geteuid() != 0 or not shutil.which("apt-get"):
        sys.stderr.write("install python3-venv, or uv, and run this again\n")
        raise SystemExit(1)
    sys.stdout.write("apt-get install python3-venv (NO_INSTALL=1 forbids it)\n")
    sys.stdout.flush()
    for words in (["update"], ["install", "--yes", "python3-venv"]):
        subprocess.run(["apt-get", "--quiet", "--quiet", *words], check=True)


def install_uv() -> str:
    """Install uv into .venv; returns its path."""
    uv = BIN / "uv"
    if not uv.exists():
        command = [str(PYTHON), "-m", "pip", "install", "--quiet", "--require-hashes"]
        subprocess.run([*command, "--requirement", str(UV_LOCK)], check=True)
    return str(uv)


def pip_configuration() -> str:
    """Return the output of `pip config list`, empty where neither Python has pip."""
    for python in (str(PYTHON), sys.executable):
        command = [python, "-m", "pip", "config", "list"]
        listed = subprocess.run(command, capture_output=True, text=True, check=False)
        if listed.returncode == 0:
            return listed.stdout
    return ""


def uv_variables(configuration: str) -> dict[str, str]:
    """
    Translate *configuration* (`section.option='value'`, a line each) into variables of uv.

    Options that uv has no counterpart for are left out.
    """
    options: dict[str, dict[str, str]] = {section: {} for section in PIP_SECTIONS}
    for line in configuration.splitlines():
        name, _, value = line.partition("=")
        section, _, option = name.rpartition(".")
        if section in options:
            options[section][option] = ast.literal_eval(value)
    merged = {name: value for section in PIP_SECTIONS for name, value in options[section].items()}
    return {
        variable: separator.join(merged[option].split())
        for option, (variable, separator) in UV_VARIABLES.items()
        if option in merged
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
