"""TLS contexts of the adapters, which are created once for each bundle."""

import ssl
from functools import lru_cache
from typing import Final

from healthingest_contract.tls import NO_TLS_MATERIAL, TlsMaterial, tls_context

MOST_CONTEXTS: Final = 64
"""Number of contexts that are kept; a connection pool reuses connections of the same context."""


@lru_cache(maxsize=MOST_CONTEXTS)
def context_of(material: TlsMaterial) -> ssl.SSLContext:
    """
    Return the context for *material*, the same one at each call.

    Raises:
        TlsMaterialError: a certificate or the key is unusable.
    """
    return tls_context(material)


def aiohttp_tls(material: TlsMaterial) -> ssl.SSLContext | bool:
    """Return the argument `ssl` of a request; True: the public authorities are trusted."""
    return True if material == NO_TLS_MATERIAL else context_of(material)
