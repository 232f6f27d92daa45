"""What the owner of an account can do with it: names, sessions, password, closing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from healthingest_service.identity.auth_service import AuthService, admit
from healthingest_service.identity.errors import (
    InvalidTokenError,
    SessionNotFoundError,
    WrongPasswordError,
)
from healthingest_service.identity.model import (
    Account,
    ListedSession,
    NewAccount,
    NewPassword,
    SessionId,
    SignedIn,
)
from healthingest_service.identity.ports import Accounts, LoginThrottle, Sessions
from healthingest_service.identity.registration import PASSWORD_MAX_CHARACTERS, admit_password
from healthingest_service.identity.throttling import LoginAttempt

MAX_LISTED_SESSIONS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountService:
    """
    The use cases of the owner of an account, who is signed in.

    Every method raises `IdentityUnavailableError` if the database gives no clear answer, and
    `InvalidTokenError` if the account does not exist any more.
    """

    accounts: Accounts
    sessions: Sessions
    auth: AuthService
    throttle: LoginThrottle
    clock: Callable[[], datetime]

    async def get(self, owner: SignedIn) -> Account:
        """Return the account."""
        return _existing(await self.accounts.get(owner.account_id))

    async def rename(self, owner: SignedIn, names: Mapping[str, str | None]) -> Account:
        """Change `first_name` and `last_name` as far as *names* has them; return the account."""
        return _existing(await self.accounts.rename(owner.account_id, names))

    async def live_sessions(self, owner: SignedIn) -> Sequence[ListedSession]:
        """Return the newest live sessions; the time of the last refresh is cut to the hour."""
        found = await self.sessions.live_sessions(
            owner.account_id, at=self.clock(), limit=MAX_LISTED_SESSIONS
        )
        return [replace(one, refreshed_at=_hour(one.refreshed_at)) for one in found]

    async def end_session(self, owner: SignedIn, session_id: SessionId) -> None:
        """
        End a session of the account.

        Raises:
            SessionNotFoundError: the account has no such live session.
        """
        with self.auth.revoking(owner.account_id):
            is_ended = await self.sessions.revoke_one(session_id, owner.account_id, at=self.clock())
        if not is_ended:
            raise SessionNotFoundError

    async def end_other_sessions(self, owner: SignedIn) -> None:
        """End all sessions of the account but the one of the request."""
        with self.auth.revoking(owner.account_id):
            await self.sessions.revoke_others(
                owner.account_id, keep=owner.session_id, at=self.clock()
            )

    async def change_password(
        self, owner: SignedIn, current: str, new: str, *, address: str
    ) -> None:
        """
        Change the password, and end all other sessions.

        *address* is the client's IP address.

        Raises:
            UnacceptablePasswordError: the new password breaks a rule.
            WrongPasswordError: the current password is wrong, or was changed meanwhile.
            RateLimitedError: too many failures, which count as failed logins.
        """
        account = await self.get(owner)
        admit_password(NewAccount(account.email, new))
        account = await self._checked(account, current, address)
        change = NewPassword(
            account_id=account.id,
            password=new,
            password_version=account.password_version,
            keep=owner.session_id,
        )
        with self.auth.revoking(owner.account_id):
            if not await self.accounts.set_password(change, at=self.clock()):
                raise WrongPasswordError

    async def close(self, owner: SignedIn, password: str, *, address: str) -> None:
        """
        Close the account for good; its uploads stay and belong to its id.

        Raises:
            WrongPasswordError, RateLimitedError: as in `change_password`.
            LastAdministratorError: no other account is an administrator.
        """
        account = await self._checked(await self.get(owner), password, address)
        with self.auth.revoking(owner.account_id):
            if not await self.accounts.close(
                account.id, password_version=account.password_version, at=self.clock()
            ):
                raise WrongPasswordError

    async def _checked(self, account: Account, password: str, address: str) -> Account:
        """Return the account as it is when its password was checked."""
        if len(password) > PASSWORD_MAX_CHARACTERS:
            raise WrongPasswordError
        attempt = LoginAttempt(account.email, address)
        await admit(self.throttle, attempt)
        checked = await self.accounts.authenticate(account.email, password)
        if checked is None or checked.id != account.id:
            await self.throttle.failed(attempt)
            raise WrongPasswordError
        await self.throttle.succeeded(attempt)
        return checked


def _existing(account: Account | None) -> Account:
    if account is None or not account.is_active:
        raise InvalidTokenError
    return account


def _hour(at: datetime | None) -> datetime | None:
    """Cut to the hour, so that the list does not record when somebody is active."""
    return None if at is None else at.replace(minute=0, second=0, microsecond=0)
