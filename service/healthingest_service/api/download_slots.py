"""Limits how many downloads of an account, and of all, run at once in this process."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from healthingest_service.api.problems import RequestRefusedError
from healthingest_service.identity.model import AccountId


class DownloadSlots:
    """Counts the running downloads; each holds a connection to the object store."""

    def __init__(self, *, per_account: int, total: int) -> None:
        self._per_account = per_account
        self._total = total
        self._taken: Counter[AccountId] = Counter()

    @contextmanager
    def taken(self, account: AccountId) -> Iterator[None]:
        """
        Count a download while the context is open.

        Raises:
            RequestRefusedError: the account, or the process, has reached its limit.
        """
        if self._taken[account] >= self._per_account:
            code = "too-many-downloads"
            raise RequestRefusedError(code)
        if self._taken.total() >= self._total:
            code = "overloaded"
            raise RequestRefusedError(code)
        self._taken[account] += 1
        try:
            yield
        finally:
            self._taken[account] -= 1
            if not self._taken[account]:
                del self._taken[account]
