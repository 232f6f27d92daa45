"""Who is asking, as values."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType
from uuid import UUID

AccountId = NewType("AccountId", UUID)


class Scope(StrEnum):
    """What a token may be used for."""

    UPLOAD_WRITE = "upload:write"
    UPLOAD_READ = "upload:read"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller. `token_id` is the token's `jti`, never the token."""

    account_id: AccountId
    scopes: frozenset[Scope]
    token_id: str

    def may(self, scope: Scope) -> bool:
        """Whether *scope* was granted."""
        return scope in self.scopes
