"""The client can be installed by itself."""

import inspect

from healthingest_client import AsyncClient, Client
from support.extras import error_without, missing_with


def test_the_client_needs_only_what_its_extra_installs() -> None:
    """All modules are imported without the service's packages, and without a compiled gate."""
    missing = missing_with("client")
    assert {"kopf", "fastapi", "aiohttp", "sqlalchemy"} <= missing
    assert error_without(missing, "healthingest_client") == ""


def test_both_clients_have_the_same_methods() -> None:
    """With the same arguments; only the results are awaited or not."""

    def methods(of: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(value).parameters)
            for name, value in inspect.getmembers(of, inspect.isfunction)
            if not name.startswith("_")
        }

    assert methods(Client) == methods(AsyncClient)
