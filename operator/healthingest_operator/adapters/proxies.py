"""
The proxy of an address, as the environment says: HTTPS_PROXY, HTTP_PROXY, NO_PROXY.

aiohttp asks the environment again for every request, in a thread: that costs more than the request.
"""

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass


def proxy_of(address: str) -> str | None:
    """Address of the proxy for *address*; None: there is none, or it is not for this one."""
    parts = urlsplit(address)
    if proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    return getproxies().get(parts.scheme)
