"""One service for all tests of the client, and an account of it for each test."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from healthingest_client import Client, TokenFile
from support.client_service import LIMITS, PASSWORD, Running
from support.samples import good_file
from support.service_process import service


@pytest.fixture(scope="session", name="running")
def _running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("service")
    with service(folder, **LIMITS) as process:
        process.wait_until_ready()
        yield Running(process.address(), folder)


@pytest.fixture(name="server")
def _server(running: Running) -> str:
    return running.url


@pytest.fixture(name="tokens")
def _tokens(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path / "config" / "tokens.json")


@pytest.fixture(name="email")
def _email(server: str, tokens: TokenFile) -> str:
    """The address of a new account; its tokens are in `tokens`."""
    email = f"{secrets.token_hex(6)}@clinic.example"
    with Client(server, tokens) as client:
        client.register(email, PASSWORD)
        client.login(email, PASSWORD)
    return email


@pytest.fixture(name="client")
def _client(server: str, tokens: TokenFile, email: str) -> Iterator[Client]:  # noqa: ARG001
    """A client that is logged in."""
    with Client(server, tokens) as client:
        yield client


@pytest.fixture(name="sample")
def _sample(tmp_path: Path) -> Path:
    """A small file."""
    path = tmp_path / "sample.avro"
    path.write_bytes(good_file(3))
    return path
