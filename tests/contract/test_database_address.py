import re
from pathlib import Path

import pytest

from healthingest_contract.database_address import (
    PARAMETERS,
    DatabaseAddress,
    DatabaseAddressError,
    read_database_address,
    with_hosts_first,
)


@pytest.mark.parametrize(
    ("url", "hosts", "user", "database"),
    [
        ("postgres://u:p@h:1/d", (("h", 1),), "u", "d"),
        ("postgresql://h/d", (("h", 5432),), "", "d"),
        ("postgresql://u%40x:p%40@h1:5433,h2/d%20e", (("h1", 5433), ("h2", 5432)), "u@x", "d e"),
        ("postgresql://u@[fd00::1]:5433/d", (("fd00::1", 5433),), "u", "d"),
    ],
)
def test_reads_an_address(
    url: str, hosts: tuple[tuple[str, int], ...], user: str, database: str
) -> None:
    """
    One host or several, with or without a port, names and IPv6 addresses.

    User and database are unquoted.
    """
    assert read_database_address(url) == DatabaseAddress(hosts, user, database, frozenset())


def test_shows_the_place_without_a_login() -> None:
    """For messages: the hosts with their ports."""
    address = read_database_address("postgresql://u:hunter2@h1:5433,[fd00::1]/d?sslmode=require")
    assert address.place == "h1:5433,[fd00::1]:5432"
    assert address.ports == (5432, 5433)
    assert "hunter2" not in repr(address)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("postgresql://u:p@/d?host=a,b", "postgresql://u:p@a:5432,b:5432/d"),
        ("postgresql:///d?host=a,b&port=1,2", "postgresql://a:1,b:2/d"),
        (
            "postgresql://u@/d?target_session_attrs=read-write&host=a,fd00::1&port=7",
            "postgresql://u@a:7,[fd00::1]:7/d?target_session_attrs=read-write",
        ),
        (
            "postgresql://u@/d?options=-c%20a%3D1&host=a",
            "postgresql://u@a:5432/d?options=-c%20a%3D1",
        ),
        ("postgresql://u:p@a/d?sslmode=require", "postgresql://u:p@a/d?sslmode=require"),
    ],
)
def test_hosts_can_be_parameters(given: str, wanted: str) -> None:
    """As libpq reads them: one port for all hosts, or one for each."""
    assert with_hosts_first(given) == wanted
    read_database_address(wanted)


@pytest.mark.parametrize(
    ("url", "parameter"),
    [
        ("postgresql://u@c/d?host=a,b", "host"),
        ("postgresql://u@/d?host=a,b&port=1,2,3", ""),
        ("postgresql://u@c/d?port=1", "port"),
        ("postgresql://u@/d?host=", ""),
        ("postgresql://[/d?host=a", ""),
    ],
)
def test_hosts_in_both_places_are_refused(url: str, parameter: str) -> None:
    """And so is another number of ports than of hosts; the address stays as it is."""
    assert with_hosts_first(url) == url
    words = f"parameter {parameter} is not supported" if parameter else "must be an address"
    with pytest.raises(DatabaseAddressError, match=words):
        read_database_address(url)


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_takes_what_the_driver_knows(name: str) -> None:
    """Each supported parameter."""
    assert read_database_address(f"postgresql://h/d?{name}=x").parameters == {name}


def test_the_document_names_each_parameter() -> None:
    """And no other one."""
    text = (Path(__file__).parents[2] / "docs" / "reference" / "custom-resource.md").read_text(
        encoding="utf-8"
    )
    paragraph = text.partition("It may have these")[2].partition("With any other parameter")[0]
    assert set(re.findall(r"`([a-z_]+)`", paragraph)) == PARAMETERS


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("channel_binding", "remove it"),
        ("connect_timeout", "HEALTHINGEST_DATABASE__TIMEOUT_SECONDS"),
        ("user", "before the @"),
        ("passfile", "supported are"),
        ("statement_timeout", "supported are"),
    ],
)
def test_names_a_parameter_that_is_not_supported(name: str, remedy: str) -> None:
    """With what to do, and without its value."""
    with pytest.raises(
        DatabaseAddressError, match=f"parameter {name} is not supported; .*{remedy}"
    ) as refused:
        read_database_address(f"postgresql://h/d?{name}=hunter2")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h/d",
        "mysql://h/d",
        "postgresql://",
        "postgresql:///d",
        "postgresql://u@/d",
        "postgresql://h1,,h2/d",
        "postgresql://h:0/d",
        "postgresql://h:65536/d",
        "postgresql://h:port/d",
        "postgresql://u:a@b@h/d",
        "postgresql://[fd00::1/d",
        "postgresql://h/d?sslmode",
        "postgresql://h/d?x y=1",
        "postgresql://h/d#part",
    ],
)
def test_refuses_what_is_no_address(url: str) -> None:
    """With a message of our own words."""
    with pytest.raises(DatabaseAddressError):
        read_database_address(url)
