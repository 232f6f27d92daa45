"""Which proxy an address has."""

import pytest

from healthingest_operator.adapters.proxies import proxy_of


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_an_address_has_the_proxy_of_its_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the hosts that are spared."""
    assert proxy_of("https://s3.example") is None
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "10.0.0.1,.svc")
    assert proxy_of("https://s3.example") == "http://proxy.example:3128"
    assert proxy_of("http://s3.example") is None
    assert proxy_of("https://10.0.0.1:443") is None
    assert proxy_of("https://s3.store.svc:7070") is None
