from collections.abc import AsyncIterator
from email import message_from_bytes, policy
from pathlib import Path

import httpx
import pytest
from sqlalchemy import event

from healthingest_service.erasure.keys import new_key_text
from healthingest_service.identity.account_mails import MailDelivery
from healthingest_service.main.mail import make_mail_delivery
from support.edge import PASSWORD, Edge, open_edge
from support.samples import good_file

NEXT = "another horse battery"
EMAIL = "ada@clinic.example"
PUBLIC_URL = "https://ingest.example/base"
RESET_PAGE = f"{PUBLIC_URL}/auth/reset-password#"
VERIFY_PAGE = f"{PUBLIC_URL}/auth/verify#"


class Office:
    """An API that requires verified addresses, and the delivery of its mails into a folder."""

    def __init__(self, edge: Edge, delivery: MailDelivery) -> None:
        self.edge = edge
        self._delivery = delivery
        self._folder = edge.folder / "mails"

    async def tokens(self, page: str) -> list[str]:
        """Deliver the requested mails; return the tokens of all mails so far with this link."""
        while await self._delivery.deliver_next():
            pass
        texts = [
            message_from_bytes(path.read_bytes(), policy=policy.default).get_content()
            for path in sorted(self._folder.glob("*.eml"), key=lambda path: path.stat().st_mtime_ns)
        ]
        lines = [line for text in texts for line in text.splitlines()]
        return [line.removeprefix(page) for line in lines if line.startswith(page)]

    async def post(self, path: str, **given: str) -> httpx.Response:
        """Return the answer to a JSON document."""
        return await self.edge.http.post(path, json=given)


@pytest.fixture(name="office")
async def _office(tmp_path: Path) -> AsyncIterator[Office]:
    async with open_edge(
        tmp_path,
        identity={"registration": "VerifiedOnly"},
        mail={"public_url": PUBLIC_URL},
    ) as edge:
        delivery = make_mail_delivery(edge.runtime)
        assert delivery is not None
        yield Office(edge, delivery)


def code_of(answer: httpx.Response) -> str:
    """Return the problem code of an answer."""
    return str(answer.json()["type"]).rpartition("/")[2]


async def test_a_verified_address_may_log_in(office: Office) -> None:
    """With `VerifiedOnly`: registration sends a mail, its token verifies, then the login works."""
    await office.edge.registered(EMAIL)
    assert (await office.edge.login(EMAIL)).status_code == 401
    (token,) = await office.tokens(VERIFY_PAGE)
    assert (await office.post("/auth/verify", token=token)).status_code == 204
    assert (await office.edge.login(EMAIL)).status_code == 200
    again = await office.post("/auth/verify", token=token)
    assert (again.status_code, code_of(again)) == (400, "invalid-mail-token")


async def test_sends_another_verification(office: Office) -> None:
    """Until the address is verified; then no mail comes, and the answer is the same."""
    await office.edge.registered(EMAIL)
    await office.tokens(VERIFY_PAGE)
    assert (await office.post("/auth/request-verify-token", email=EMAIL)).status_code == 202
    _, token = await office.tokens(VERIFY_PAGE)
    await office.post("/auth/verify", token=token)
    assert (await office.post("/auth/request-verify-token", email=EMAIL)).status_code == 202
    assert len(await office.tokens(VERIFY_PAGE)) == 2


async def test_resets_a_forgotten_password(office: Office) -> None:
    """The new password logs in, every session and every other token has ended."""
    edge = office.edge
    await edge.registered(EMAIL)
    (verification,) = await office.tokens(VERIFY_PAGE)
    await office.post("/auth/verify", token=verification)
    session = (await edge.login(EMAIL)).json()
    user = {"Authorization": f"Bearer {session['access_token']}"}
    assert (await edge.upload(good_file(1), user)).status_code == 201
    for _ in range(2):
        assert (await office.post("/auth/forgot-password", email=EMAIL)).status_code == 202
        tokens = await office.tokens(RESET_PAGE)
    assert len(tokens) == 2
    answer = await office.post("/auth/reset-password", token=tokens[0], password=NEXT)
    assert answer.status_code == 204
    assert (await edge.upload(good_file(2), user)).status_code == 401
    refreshed = await edge.http.post(
        "/auth/jwt/refresh", json={"refresh_token": session["refresh_token"]}
    )
    assert refreshed.status_code == 401
    assert (await edge.login(EMAIL)).status_code == 401
    assert (await edge.login(EMAIL, NEXT)).status_code == 200
    for token in tokens:
        used = await office.post("/auth/reset-password", token=token, password=PASSWORD)
        assert (used.status_code, code_of(used)) == (400, "invalid-mail-token")


async def test_a_refused_password_leaves_the_token(office: Office) -> None:
    """A password that breaks a rule is refused, and the same token sets a better one."""
    await office.edge.registered(EMAIL)
    await office.post("/auth/forgot-password", email=EMAIL)
    (token,) = await office.tokens(RESET_PAGE)
    for bad in ("short", EMAIL, "x" * 1025):
        refused = await office.post("/auth/reset-password", token=token, password=bad)
        assert (refused.status_code, code_of(refused)) == (422, "unacceptable-password")
    assert (
        await office.post("/auth/reset-password", token=token, password=NEXT)
    ).status_code == 204
    # The mail has arrived, so the address is verified.
    assert (await office.edge.login(EMAIL, NEXT)).status_code == 200


async def test_a_token_has_one_purpose(office: Office) -> None:
    """A token of a verification sets no password, and the reverse; made-up ones do nothing."""
    await office.edge.registered(EMAIL)
    await office.post("/auth/forgot-password", email=EMAIL)
    (reset,) = await office.tokens(RESET_PAGE)
    (verification,) = await office.tokens(VERIFY_PAGE)
    for token in (verification, "x" * 43, "x" * 10_000, ""):
        answer = await office.post("/auth/reset-password", token=token, password=NEXT)
        assert (answer.status_code, code_of(answer)) == (400, "invalid-mail-token")
    assert (await office.post("/auth/verify", token=reset)).status_code == 400


async def test_a_deactivated_account_gets_no_mail(office: Office) -> None:
    """Its tokens are refused, too."""
    await office.edge.registered(EMAIL)
    await office.post("/auth/forgot-password", email=EMAIL)
    (token,) = await office.tokens(RESET_PAGE)
    async with office.edge.runtime.engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE account SET is_active = false")
    answer = await office.post("/auth/reset-password", token=token, password=NEXT)
    assert answer.status_code == 400
    await office.post("/auth/forgot-password", email=EMAIL)
    assert len(await office.tokens(RESET_PAGE)) == 1


@pytest.mark.parametrize("path", ["/auth/forgot-password", "/auth/request-verify-token"])
async def test_answers_every_address_alike(office: Office, path: str) -> None:
    """Known, unknown and verified: the same answer after the same statements."""
    await office.edge.registered(EMAIL)
    (token,) = await office.tokens(VERIFY_PAGE)
    await office.edge.registered("grace@clinic.example")
    await office.post("/auth/verify", token=token)
    await office.edge.login("nobody@clinic.example")  # makes the salt of the day
    seen = list[str]()
    event.listen(
        office.edge.runtime.engine.sync_engine,
        "before_cursor_execute",
        lambda *given: seen.append(given[2]),
    )
    steps = []
    for email in (EMAIL, "nobody@clinic.example", "lovelace@clinic.example"):
        seen.clear()
        answer = await office.post(path, email=email)
        steps.append((answer.status_code, answer.text, answer.headers["ratelimit"], list(seen)))
    first, *others = [(status, text, done) for status, text, _, done in steps]
    assert others == [first, first]
    assert (first[0], first[1]) == (202, "")
    assert [one for one in first[2] if "account" in one and "audit_event" not in one] == []


async def test_the_link_ignores_the_host_of_the_request(office: Office) -> None:
    """A made-up `Host` is in no mail."""
    await office.edge.registered(EMAIL)
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    await office.edge.http.post("/auth/forgot-password", json={"email": EMAIL}, headers=headers)
    assert len(await office.tokens(RESET_PAGE)) == 1


async def test_limits_mails(tmp_path: Path) -> None:
    """For one e-mail address, and for one client; a limit tells nothing about accounts."""
    async with open_edge(
        tmp_path, limits={"mails_per_account": "1/hour", "mails_per_address": "4/hour"}
    ) as edge:
        await edge.registered(EMAIL)

        async def ask(email: str) -> int:
            answer = await edge.http.post("/auth/forgot-password", json={"email": email})
            return answer.status_code

        assert [await ask(EMAIL), await ask(EMAIL)] == [202, 429]
        unknown = "nobody@clinic.example"
        assert [await ask(unknown), await ask(unknown)] == [202, 429]
        assert await ask("other@clinic.example") == 429


async def test_an_installation_without_a_mail_server_says_so(tmp_path: Path) -> None:
    """With a folder of secrets and no mail server: `mail-disabled`, for every address."""
    async with open_edge(tmp_path) as edge:
        await edge.registered(EMAIL)
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    async with open_edge(
        tmp_path,
        secrets_dir=secrets,
        identity={"registration": "VerifiedOnly", "erasure_key": new_key_text()},
    ) as edge:
        assert make_mail_delivery(edge.runtime) is None
        await edge.registered("grace@clinic.example")
        for email in (EMAIL, "nobody@clinic.example"):
            answer = await edge.http.post("/auth/forgot-password", json={"email": email})
            assert (answer.status_code, code_of(answer)) == (403, "mail-disabled")


@pytest.mark.parametrize("path", ["/auth/reset-password", "/auth/verify"])
async def test_serves_the_page_of_a_link(office: Office, path: str) -> None:
    """It loads its own files only, sends no referrer, and changes nothing by being opened."""
    page = await office.edge.http.get(path)
    assert (page.status_code, page.headers["content-type"].partition(";")[0]) == (200, "text/html")
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert page.headers["referrer-policy"] == "no-referrer"
    for name, kind in (("page.css", "text/css"), ("page.js", "text/javascript")):
        assert f'"mail-links/{name}"' in page.text
        asset = await office.edge.http.get(f"/auth/mail-links/{name}")
        assert (asset.status_code, asset.headers["content-type"].partition(";")[0]) == (200, kind)
