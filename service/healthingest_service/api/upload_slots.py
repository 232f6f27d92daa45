"""Limits how many uploads of a caller, and of an address, run at once in this process."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from healthingest_service.api.problems import RequestRefusedError


class UploadSlots:
    """Counts the running uploads of each caller and each address."""

    def __init__(self, *, per_account: int, per_address: int) -> None:
        self._per_account = per_account
        self._per_address = per_address
        self._taken: Counter[str] = Counter()

    @contextmanager
    def taken(self, caller: str, address: str) -> Iterator[None]:
        """
        Count an upload while the context is open; *caller* is `Principal.counted_as`.

        Raises:
            RequestRefusedError: the caller or the address has reached its limit.
        """
        limits = {caller: self._per_account, f"address:{address}": self._per_address}
        if any(self._taken[key] >= limit for key, limit in limits.items()):
            code = "too-many-uploads"
            raise RequestRefusedError(code)
        self._taken.update(limits.keys())
        try:
            yield
        finally:
            for key in limits:
                self._taken[key] -= 1
                if not self._taken[key]:
                    del self._taken[key]
