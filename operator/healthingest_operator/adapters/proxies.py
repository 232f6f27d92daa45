"""
The proxy for an address, from the environment: HTTPS_PROXY, HTTP_PROXY, NO_PROXY.

aiohttp reads the environment for every request, in a thread, which costs more than the request.
"""

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass


def proxy_of(address: str) -> str | None:
    """Return the address of the proxy for *address*; None: no proxy applies."""
    parts = urlsplit(address)
    if proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    return getproxies().get(parts.scheme)
