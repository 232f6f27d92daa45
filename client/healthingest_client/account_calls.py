"""The routes of accounts, logins and device tokens."""

from collections.abc import Callable, Collection
from typing import Final
from uuid import uuid4

from healthingest_client.credentials import Tokens
from healthingest_client.documents import Account, DeviceToken, Provider
from healthingest_client.errors import LoginRefusedError
from healthingest_client.provider_tokens import DeviceCode, device_login
from healthingest_client.session import Call, Session, json_of, path_of

_WRITE_ONLY: Final = ("upload:write",)


class AccountCalls:
    """What an account does for itself."""

    _session: Session

    async def register(
        self, email: str, password: str, first_name: str | None = None, last_name: str | None = None
    ) -> Account:
        """Create an account, and return it as the server describes it."""
        account = {
            "email": email,
            "password": password,
            "first_name": first_name,
            "last_name": last_name,
        }
        call = Call(
            method="POST",
            path="/auth/register",
            document=account,
            needs_token=False,
            is_repeatable=False,
        )
        created: Account = await self._session.document(call)
        return created

    async def login(self, email: str, password: str) -> None:
        """Log in, and store the tokens."""
        form = {"username": email, "password": password}
        call = Call(method="POST", path="/auth/jwt/login", form=form, needs_token=False)
        self._session.keep(json_of(await self._session.send(call)))

    async def login_with_token(self, token: str) -> None:
        """Store a token that was made elsewhere, such as a device token. It is not checked."""
        self._session.tokens.put(self._session.server, Tokens(token))

    async def login_with_device_code(
        self,
        show: Callable[[DeviceCode], None],
        *,
        issuer: str | None = None,
        client_id: str | None = None,
        scope: str | None = None,
    ) -> None:
        """
        Sign in at an identity provider with a device code (RFC 8628), and store its tokens.

        *show* gets the code and the address at which the user confirms it. Without *issuer* it is
        the only provider of the server; *client_id* and *scope* are those that the server names.

        Raises:
            LoginRefusedError: it is unclear which provider, or the user did not confirm.
        """
        if issuer is None or client_id is None:
            provider = _chosen(await self.providers(), issuer)
            issuer = provider["issuer"]
            client_id = client_id or provider["client_id"]
            scope = scope or " ".join(dict.fromkeys(["openid", *provider["scopes"]]))
        tokens = await device_login(
            self._session.http,
            issuer=issuer,
            client_id=client_id,
            scope=scope or "openid",
            show=show,
            sleep=self._session.sleep,
        )
        self._session.tokens.put(self._session.server, tokens)

    async def providers(self) -> list[Provider]:
        """Return the identity providers at which users of the server sign in."""
        call = Call(method="GET", path="/auth/oidc", needs_token=False)
        found: list[Provider] = (await self._session.document(call))["providers"]
        return found

    async def enrol(self, code: str, *, name: str = "device") -> DeviceToken:
        """
        Exchange an enrolment code for a device token, and store it.

        The answer has no text of the token. A repetition after a lost answer gets the same token.
        """
        call = Call(
            method="POST",
            path="/v1/enrolments/redeem",
            document={"code": code, "name": name},
            headers={"Idempotency-Key": str(uuid4())},
            needs_token=False,
        )
        created: DeviceToken = await self._session.document(call)
        await self.login_with_token(created.pop("token"))
        return created

    async def logout(self) -> None:
        """End the session on the server, and remove its tokens; a device token stays valid."""
        session = self._session
        tokens = session.tokens.get(session.server)
        if tokens is None or (tokens.refresh_token is not None and tokens.token_endpoint is None):
            await session.send(Call(method="POST", path="/auth/jwt/logout"))
        session.tokens.put(session.server, None)

    async def list_tokens(self) -> list[DeviceToken]:
        """Return your device tokens that are neither revoked nor expired."""
        found: list[DeviceToken] = (
            await self._session.document(Call(method="GET", path="/v1/tokens"))
        )["tokens"]
        return found

    async def create_token(
        self,
        name: str,
        *,
        scopes: Collection[str] = _WRITE_ONLY,
        expires_in_days: int | None = 365,
        study: str | None = None,
        subject: str | None = None,
    ) -> DeviceToken:
        """Create a device token; only this answer has its text. It is not sent twice."""
        document = {
            "name": name,
            "scopes": list(scopes),
            "expires_in_days": expires_in_days,
            "study": study,
            "subject": subject,
        }
        call = Call(method="POST", path="/v1/tokens", document=document, is_repeatable=False)
        created: DeviceToken = await self._session.document(call)
        return created

    async def revoke_token(self, token_id: str) -> None:
        """Revoke a device token."""
        await self._session.send(Call(method="DELETE", path=path_of("v1", "tokens", token_id)))


def _chosen(providers: list[Provider], issuer: str | None) -> Provider:
    """
    Return the provider to sign in at.

    Raises:
        LoginRefusedError: there is none, or several.
    """
    found = [one for one in providers if issuer in {None, one["issuer"]}]
    if len(found) == 1:
        return found[0]
    names = ", ".join(one["issuer"] for one in providers) or "none"
    message = f"choose a provider with --issuer and --client-id; the server names: {names}"
    raise LoginRefusedError(message)
