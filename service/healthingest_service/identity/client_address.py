"""The client address of a request, also behind proxies. Pure."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
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
    try:
        parsed = ip_address(address or "")
    except ValueError:
        return False
    return any(parsed in network for network in trusted)


def _countable(address: str | None) -> str:
    if address is None:
        return UNKNOWN
    try:
        parsed = ip_address(address)
    except ValueError:
        return UNKNOWN
    if parsed.version == 4:  # noqa: PLR2004 - the version's name
        return str(parsed)
    mapped = parsed.ipv4_mapped
    return str(mapped) if mapped else str(ip_network((parsed, _IPV6_PREFIX), strict=False))
