"""The client address of a request, also behind proxies. Pure."""

from collections.abc import Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final

Network = IPv4Network | IPv6Network
UNKNOWN: Final = "unknown"
_IPV6_PREFIX: Final = 64
"""Prefix length of an IPv6 subscriber network, which counts as one address."""


def client_address(
    peer: str | None, forwarded_for: Sequence[str], trusted: Sequence[Network]
) -> str:
    """
    Return the client address for rate limits.

    It is the rightmost address in `X-Forwarded-For` that is not a trusted proxy, or *peer* if that
    is not trusted. *forwarded_for* has the values of the header in their order.
    """
    chain = [hop.strip() for value in forwarded_for for hop in value.split(",")]
    current = peer
    while current is not None and chain and is_trusted(current, trusted):
        current = chain.pop()
    return _countable(current)


def is_trusted(address: str | None, trusted: Sequence[Network]) -> bool:
    """Return whether *address* is in a trusted network; False for None and invalid texts."""
    parsed = _parsed(address)
    return parsed is not None and any(parsed in network for network in trusted)


def _countable(address: str | None) -> str:
    parsed = _parsed(address)
    if parsed is None:
        return UNKNOWN
    if isinstance(parsed, IPv4Address):
        return str(parsed)
    return str(ip_network((parsed, _IPV6_PREFIX), strict=False))


def _parsed(address: str | None) -> IPv4Address | IPv6Address | None:
    """
    Return the address, or None for None and invalid texts.

    A socket for both IP families shows IPv4 addresses as IPv6 (RFC 4291, section 2.5.5.2).
    """
    try:
        parsed = ip_address(address or "")
    except ValueError:
        return None
    return (parsed.ipv4_mapped or parsed) if isinstance(parsed, IPv6Address) else parsed
