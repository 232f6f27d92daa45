"""Accounts with roles in one study, and their requests."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import update

from healthingest_service.adapters.database.account_tables import AccountRow
from healthingest_service.adapters.database.engine import transaction
from support.edge import Edge

SLEEP = "/v1/studies/sleep"
SUBJECT = f"{SLEEP}/subjects/P-1"
NEW = {"slug": "sleep", "name": "Sleep"}
LIMITS = {"requests": "10000/hour", "uploads": "10000/hour"}


@dataclass(frozen=True)
class Person:
    """A signed-in account."""

    edge: Edge
    id: UUID
    headers: dict[str, str]

    # ANN401: any JSON
    async def sends(self, method: str, path: str, document: Any = None) -> httpx.Response:  # noqa: ANN401
        """Return the answer."""
        return await self.edge.http.request(method, path, json=document, headers=self.headers)


async def person(edge: Edge, *, is_admin: bool = False, roles: tuple[str, ...] = ()) -> Person:
    """Return a new account with these roles in the study."""
    email = await edge.registered()
    tokens = (await edge.login(email)).json()
    async with transaction(edge.runtime.engine, timeout_seconds=5) as connection:
        of_email = AccountRow.__table__.c.email == email
        changed = update(AccountRow).where(of_email).values(is_superuser=is_admin)
        found = await connection.scalars(changed.returning(AccountRow.__table__.c.id))
        account = UUID(str(found.one()))
    one = Person(edge, account, {"Authorization": f"Bearer {tokens['access_token']}"})
    if roles:
        admin = await person(edge, is_admin=True)
        await admin.sends("POST", "/v1/studies", NEW)
        answer = await admin.sends("PUT", f"{SLEEP}/members/{account}", {"roles": list(roles)})
        assert answer.status_code == 200, answer.text
    return one


def code(answer: httpx.Response) -> str:
    """Return the status and the code of a problem."""
    return f"{answer.status_code} {answer.json()['type'].rpartition('/')[2]}"
