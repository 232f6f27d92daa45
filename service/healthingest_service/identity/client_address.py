"""Where a request came from, behind proxies. Pure."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

Network = IPv4Network | IPv6Network
UNKNOWN: Final = "unknown"
_IPV6_PREFIX: Final = 64
"""One subscriber has at least so much of IPv6: he is counted as one."""


def client_address(
    peer: str | None, forwarded_for: Sequence[str], trusted: Sequence[Network]
) -> str:
    """
    The address to count: walk `X-Forwarded-For` from the right as long as trusted proxies speak.

    *forwarded_for* are the header's values as they came. What an untrusted one claims is not
    believed.
    """
    chain = [hop.strip() for value in forwarded_for for hop in value.split(",")]
    current = peer
    while current is not None and chain and is_trusted(current, trusted):
        current = chain.pop()
    return _countable(current)


def is_trusted(address: str | None, trusted: Sequence[Network]) -> bool:
    """Whether *address* is one of a trusted proxy; None and what is no address are not."""
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
