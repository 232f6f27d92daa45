"""How `make setup` and `make servers` install things."""

from pathlib import Path
from types import ModuleType

import pytest

from support.scripts import load_script
from support.servers import go_programs, packages

SCRIPT = Path(__file__).parents[2] / "requirements" / "install.py"


@pytest.fixture
def install() -> ModuleType:
    """Load the script as a module."""
    return load_script(SCRIPT)


def test_the_configuration_of_pip_is_handed_to_uv(install: ModuleType) -> None:
    """The environment overrides files; options without a counterpart in uv are left out."""
    configuration = r"""global.index-url='https://mirror.example/simple'
global.cert='/etc/one.pem'
global.timeout='60'
install.extra-index-url='https://a.example/simple\nhttps://b.example/simple'
:env:.cert='/etc/two.pem'
:env:.find-links='/wheels /more'
"""
    assert install.uv_variables(configuration) == {
        "UV_DEFAULT_INDEX": "https://mirror.example/simple",
        "UV_INDEX": "https://a.example/simple https://b.example/simple",
        "UV_FIND_LINKS": "/wheels,/more",
        "SSL_CERT_FILE": "/etc/two.pem",
    }


def test_an_unconfigured_pip_sets_nothing(install: ModuleType) -> None:
    """Without any configuration uv keeps its own defaults."""
    assert install.uv_variables("") == {}


def test_nothing_is_installed_when_it_is_refused(
    install: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With NO_INSTALL=1 neither script calls apt-get, and both say what is missing."""
    monkeypatch.setenv("NO_INSTALL", "1")
    monkeypatch.setattr(go_programs, "missing", list)
    monkeypatch.setattr(packages, "WANTED", {"a-server": lambda: False})
    monkeypatch.setenv("PATH", "")
    assert packages.main() == 0
    assert "NO_INSTALL is set: a-server not installed" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        install._install_python_venv()
    assert "python3-venv" in capsys.readouterr().err


def test_the_policy_is_undone_also_after_a_killed_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our own policy-rc.d goes with the next run; that of another program stays as it is."""
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(packages, "POLICY", policy)
    apt = tmp_path / "apt-get"
    apt.write_text("#!/bin/sh\nexit 0\n")
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    policy.write_text(packages.POLICY_TEXT)
    assert packages.install(["a-server"])
    assert not policy.exists()
    policy.write_text("#!/bin/sh\nexit 104\n")
    assert packages.install(["a-server"])
    assert policy.read_text() == "#!/bin/sh\nexit 104\n"
