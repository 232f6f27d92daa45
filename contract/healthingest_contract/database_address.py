"""
Parses and checks the address of a PostgreSQL database.

Operator and service use the same rules, so the service can open every database that the operator
reports as ready. Both pass the address to asyncpg, which parses it like libpq
(https://www.postgresql.org/docs/17/libpq-connect.html, 32.1.1.2). Parameters that asyncpg does not
know, or reads from files that a pod does not have, are refused by name.
"""

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs, parse_qsl, quote, unquote, urlencode, urlsplit

DEFAULT_PORT: Final = 5432
SCHEMES: Final = frozenset({"postgresql", "postgres"})
PARAMETERS: Final = frozenset(
    {
        "application_name",
        "options",
        "ssl_max_protocol_version",
        "ssl_min_protocol_version",
        "sslcert",
        "sslcrl",
        "sslkey",
        "sslmode",
        "sslnegotiation",
        "sslpassword",
        "sslrootcert",
        "target_session_attrs",
    }
)
"""The supported parameters, after the `?`."""
_REMEDIES: Final = {
    "channel_binding": "remove it: the driver does not support channel binding",
    "connect_timeout": "remove it: HEALTHINGEST_DATABASE__TIMEOUT_SECONDS bounds connecting",
    "dbname": "name the database as the address's path",
    "host": "name the hosts either before the path or with this parameter",
    "password": "write the password before the @",
    "port": "write the port after each host, or name the hosts with parameter host",
    "user": "write the user before the @",
}
_NAME: Final = re.compile(r"[a-z_]{1,40}")
_HOST: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:@/?#\s]+)(?::(?P<port>[0-9]{1,5}))?")
_MAX_PORT: Final = 65535


class DatabaseAddressError(ValueError):
    """The address is invalid. The message names the part and the remedy, but no value."""


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """
    A parsed address.

    `hosts` has at least one pair of host and port; an IPv6 address has no brackets.
    """

    hosts: tuple[tuple[str, int], ...]
    user: str = field(repr=False)
    database: str
    parameters: frozenset[str]
    """The names of the parameters."""

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports of all hosts, each once, ascending."""
        return tuple(sorted({port for _, port in self.hosts}))

    @property
    def place(self) -> str:
        """`host:port` of each host, separated by commas, for a message."""
        return ",".join(
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts
        )


def read_database_address(url: str) -> DatabaseAddress:
    """
    Parse `postgresql://user:password@host:port[,host:port…]/database?parameter=value`.

    Raises:
        DatabaseAddressError: *url* is no database address, or has an unsupported parameter.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise DatabaseAddressError(_expected()) from None
    if parts.scheme not in SCHEMES or parts.fragment:
        raise DatabaseAddressError(_expected())
    login, at, hosts = parts.netloc.partition("@")
    if "@" in hosts:
        message = "write an @ within user or password as %40"
        raise DatabaseAddressError(message)
    user = unquote(login.partition(":")[0]) if at else ""
    database = unquote(parts.path.removeprefix("/"))
    return DatabaseAddress(
        tuple(_host(text) for text in (hosts if at else login).split(",")),
        user,
        database,
        _parameters(parts.query),
    )


def with_hosts_first(url: str) -> str:
    """
    Return *url* with the hosts of the parameters `host` and `port` before the path.

    libpq allows both places: `postgresql://user:password@/database?host=a,b&port=5432`. An address
    with hosts in neither or both places, or one that cannot be parsed, is returned unchanged;
    `read_database_address` refuses it.
    """
    try:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True))
    except ValueError:
        return url
    login, at, hosts = parts.netloc.rpartition("@")
    if hosts or not query.get("host"):
        return url
    names = query.pop("host").split(",")
    ports = query.pop("port", str(DEFAULT_PORT)).split(",")
    if len(ports) == 1:
        ports *= len(names)
    if len(ports) != len(names):
        return url
    places = ",".join(f"{_bracketed(name)}:{port}" for name, port in zip(names, ports, strict=True))
    rest = urlencode(query, quote_via=quote)
    return parts._replace(netloc=f"{login}{at}{places}", query=rest).geturl()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _host(text: str) -> tuple[str, int]:
    match = _HOST.fullmatch(text)
    if match is None:
        raise DatabaseAddressError(_expected())
    port = int(match["port"]) if match["port"] else DEFAULT_PORT
    if not 0 < port <= _MAX_PORT:
        message = "a port is a number from 1 to 65535"
        raise DatabaseAddressError(message)
    return unquote(match["host"].strip("[]")), port


def _parameters(query: str) -> frozenset[str]:
    if not query:
        return frozenset()
    try:
        names = frozenset(parse_qs(query, keep_blank_values=True, strict_parsing=True))
    except ValueError:
        message = "parameters are written as ?name=value&name=value"
        raise DatabaseAddressError(message) from None
    for name in sorted(names - PARAMETERS):
        shown = name if _NAME.fullmatch(name) else "with this name"
        remedy = _REMEDIES.get(name, f"supported are {', '.join(sorted(PARAMETERS))}")
        message = f"parameter {shown} is not supported; {remedy}"
        raise DatabaseAddressError(message)
    return names


def _expected() -> str:
    return "must be an address such as postgresql://user:password@host:port/database"
