import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest

from healthingest_service.identity.access_tokens import AccessTokens, SigningKeys, new_key_pem
from healthingest_service.identity.errors import InvalidTokenError
from healthingest_service.identity.model import AccountId, Scope, SessionId

ACCOUNT = AccountId(UUID(int=1))
SESSION = SessionId(UUID(int=2))
SCOPES = frozenset({Scope.UPLOAD_READ})
PEM = new_key_pem()


def tokens(pem: str = PEM, *, issuer: str = "us", audience: str = "us") -> AccessTokens:
    """Tokens of ten minutes."""
    keys = SigningKeys.from_pem(pem)
    return AccessTokens(keys=keys, issuer=issuer, audience=audience, lifetime=timedelta(minutes=10))


def issued(ours: AccessTokens, at: datetime | None = None) -> str:
    """A token of ours."""
    return ours.issue(ACCOUNT, SESSION, SCOPES, at=at or datetime.now(UTC))


def forged(claims: dict[str, Any], header: dict[str, Any] | None = None) -> str:
    """A token signed with our own key, but other than we make them; a None removes a claim."""
    ours = tokens()
    good = jwt.decode(issued(ours), options={"verify_signature": False})
    merged = {name: value for name, value in (good | claims).items() if value is not None}
    head = {"typ": "at+jwt", "kid": ours.keys.signing_id} | (header or {})
    return jwt.encode(merged, ours.keys.signing, algorithm="EdDSA", headers=head)


def test_reads_what_it_made() -> None:
    """Account, session and scopes come back; each token has an id of its own."""
    ours = tokens()
    first = ours.verify(issued(ours))
    second = ours.verify(issued(ours))
    assert (first.principal.account_id, first.session_id, first.principal.scopes) == (
        ACCOUNT,
        SESSION,
        SCOPES,
    )
    assert first.principal.token_id != second.principal.token_id
    assert first.principal.may(Scope.UPLOAD_READ)


def test_keys_are_exchanged_without_ending_logins() -> None:
    """
    A new key in front signs; tokens of the old one behind it stay good.

    Without it they do not.
    """
    new = new_key_pem()
    old = issued(tokens())
    both = tokens(new + PEM)
    assert both.verify(old).principal.account_id == ACCOUNT
    assert tokens(new).verify(issued(both)).principal.account_id == ACCOUNT
    with pytest.raises(InvalidTokenError):
        tokens(new).verify(old)


@pytest.mark.parametrize(
    "claim", ["iss", "aud", "exp", "iat", "jti", "sub", "sid", "token_use", "scope"]
)
def test_requires_every_claim(claim: str) -> None:
    """A token without one of them is refused although our key signed it."""
    with pytest.raises(InvalidTokenError):
        tokens().verify(forged({claim: None}))


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 1},
        {"exp": "9999999999"},
        {"exp": 9e9},
        {"iat": 9_999_999_999},
        {"iss": "them"},
        {"aud": "them"},
        {"aud": ["us", "them"]},
        {"token_use": "refresh"},
        {"sub": "no uuid"},
        {"sub": 5},
        {"sid": "no uuid"},
        {"scope": ["upload:write"]},
        {"jti": 7},
    ],
)
def test_refuses_other_claims(claims: dict[str, Any]) -> None:
    """Run out, from elsewhere, for elsewhere, another use, another type: refused."""
    with pytest.raises(InvalidTokenError):
        tokens().verify(forged(claims))


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "JWT"},
        {"kid": "unknown"},
        {"kid": "../../key"},
        {"jku": "https://x"},
        {"jwk": {}},
        {"crit": []},
    ],
)
def test_refuses_other_headers(header: dict[str, Any]) -> None:
    """Another type, an unknown key, members that we never set: refused."""
    with pytest.raises(InvalidTokenError):
        tokens().verify(forged({}, header))


def _with_header(token: str, **members: Any) -> str:  # noqa: ANN401 - whatever an attacker writes
    head, body, signature = token.split(".")
    known = json.loads(urlsafe_b64decode(head + "=="))
    text = urlsafe_b64encode(json.dumps(known | members).encode()).rstrip(b"=").decode()
    return f"{text}.{body}.{signature}"


def test_refuses_texts_that_only_look_like_tokens() -> None:
    """Another algorithm or signature, our public key as secret, endless texts: refused."""
    ours = tokens()
    good = issued(ours)
    head, body, signature = good.split(".")
    secret = "x" * 32
    for text in (
        "",
        "a.b.c",
        _with_header(good, alg="none"),
        _with_header(good, alg="HS256"),
        f"{head}.{body}.",
        f"{head}.{body}.{signature[::-1]}",
        issued(tokens(new_key_pem())),
        jwt.encode(
            {"sub": str(uuid4())}, secret, algorithm="HS256", headers={"kid": ours.keys.signing_id}
        ),
        "x" * 100_000,
        good + "." + "y" * 5000,
    ):
        with pytest.raises(InvalidTokenError):
            ours.verify(text)


@pytest.mark.parametrize(
    "text", ["", "no key", PEM.replace("M", "N", 3), PEM + PEM.replace("M", "N", 3)]
)
def test_refuses_keys_without_repeating_them(text: str) -> None:
    """What is no Ed25519 key is refused in our own words."""
    with pytest.raises(ValueError, match="signing key") as refused:
        SigningKeys.from_pem(text)
    assert PEM.splitlines()[1] not in str(refused.value)


def test_secrets_do_not_show() -> None:
    """Keys are not in the text of what holds them."""
    assert "PrivateKey" not in repr(tokens())
