"""Access tokens of identity providers: which are accepted, and which keys verify them."""

import base64
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from healthingest_service.identity.errors import InvalidTokenError
from healthingest_service.identity.oidc import (
    MAX_GROUPS,
    Endpoints,
    Issuer,
    account_of,
    endpoints_in,
    issuer_in,
    key_id_in,
    keys_in,
    verify,
    verify_id_token,
)

PAST = 1_000_000_000
FUTURE = 4_000_000_000
"""Seconds since the epoch, 2001 and 2096: names of tests must not change with the time."""
URL = "https://login.clinic.example/realms/research"
ISSUER = Issuer(URL, "healthingest")
_ALGORITHMS = {"RSAPublic": "RS256", "ECPublic": "ES256", "Ed25519Public": "EdDSA"}
KEY = rsa.generate_private_key(65537, 2048)


def token(header: dict[str, Any] | None = None, **claims: object) -> str:
    """A good token, with other claims; a None removes a claim."""
    now = int(time.time())
    merged = {
        "iss": URL,
        "aud": ["account", "healthingest"],
        "sub": "ada",
        "iat": now,
        "exp": now + 60,
    }
    found = {name: value for name, value in (merged | claims).items() if value is not None}
    return jwt.encode(found, KEY, algorithm="RS256", headers={"kid": "one"} | (header or {}))


def accepted(text: str, issuer: Issuer = ISSUER) -> Any:  # noqa: ANN401 - the caller's fields
    """The caller of a token that the provider's key verifies."""
    return verify(text, issuer, KEY.public_key(), frozenset({"RS256"}))


def jwk(key: object, **more: object) -> dict[str, Any]:
    """A public key as an entry of a key set."""
    algorithm = jwt.get_algorithm_by_name(_ALGORITHMS[type(key).__name__.removesuffix("Key")])
    entry: dict[str, Any] = algorithm.to_jwk(key, as_dict=True)
    return entry | {"kid": "one"} | more


def test_a_good_token_names_its_caller() -> None:
    """The account follows from issuer and subject alone, and is another one for another issuer."""
    caller = accepted(token(jti="t-1", groups=["clinic", 7]))
    assert caller.account_id == account_of(URL, "ada") == accepted(token()).account_id
    assert caller.account_id != account_of("https://other.example", "ada")
    assert (caller.token_id, caller.groups) == ("t-1", {"clinic"})
    assert len(accepted(token()).token_id) == 32
    assert "ada" not in repr(caller)


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://other.example"},
        {"iss": f"{URL}/"},
        {"aud": "account"},
        {"aud": None},
        {"sub": None},
        {"sub": ""},
        {"sub": "x" * 256},
        {"sub": 7},
        {"exp": None},
        {"exp": PAST},
        {"exp": "tomorrow"},
        {"iat": None},
        {"iat": FUTURE},
        {"nbf": FUTURE},
        {"nonce": "n"},
        {"at_hash": "h"},
    ],
    ids=str,
)
def test_a_wrong_claim_is_refused(claims: dict[str, Any]) -> None:
    """Issuer, audience, subject and times must be right, and an ID token is no access token."""
    with pytest.raises(InvalidTokenError):
        accepted(token(**claims))


def signed_in(text: str, nonce: str = "n") -> Any:  # noqa: ANN401 - the caller's fields
    """The user of an ID token that the provider's key verifies."""
    key = KEY.public_key(), frozenset({"RS256"})
    return verify_id_token(text, ISSUER, key, client_id="page", nonce=nonce)


def test_an_id_token_names_the_account_of_the_access_tokens() -> None:
    """Each kind is refused in place of the other one."""
    text = token(aud="page", nonce="n", at_hash="h", groups=["clinic"])
    user = signed_in(text)
    assert (user.account_id, user.groups) == (account_of(URL, "ada"), {"clinic"})
    assert signed_in(token(aud=["page", "x"], azp="page", nonce="n")).account_id == user.account_id
    for wrong in (token(), token(aud="page"), token(aud="healthingest", nonce="n")):
        with pytest.raises(InvalidTokenError):
            signed_in(wrong)
    with pytest.raises(InvalidTokenError):
        signed_in(text, nonce="m")
    with pytest.raises(InvalidTokenError):
        key_id_in(_with_header({"typ": "at+jwt"}), is_id_token=True)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({}, Endpoints(authorization=f"{URL}/a", token=f"{URL}/t")),
        (
            {
                "code_challenge_methods_supported": ["plain", "S256"],
                "token_endpoint_auth_methods_supported": ["client_secret_post"],
                "authorization_response_iss_parameter_supported": True,
            },
            Endpoints(
                authorization=f"{URL}/a",
                token=f"{URL}/t",
                basic_authentication=False,
                sends_issuer=True,
            ),
        ),
        ({"code_challenge_methods_supported": ["plain"]}, None),
        ({"token_endpoint": None}, None),
        ({"token_endpoint": "http://login.clinic.example/t"}, None),
        ({"authorization_endpoint": "javascript:alert(1)"}, None),
        ({"authorization_endpoint": f"{URL}/a#f"}, None),
    ],
    ids=["least", "full", "plain", "missing", "no-tls", "scheme", "fragment"],
)
def test_endpoints_are_read(document: dict[str, object], expected: Endpoints | None) -> None:
    """Those with the scheme of the issuer, of a provider that does not exclude PKCE."""
    found = {"authorization_endpoint": f"{URL}/a", "token_endpoint": f"{URL}/t"} | document
    assert endpoints_in(found, URL) == expected


def test_another_key_is_refused() -> None:
    """A signature of another key, of another algorithm, or none, is refused."""
    other = rsa.generate_private_key(65537, 2048).public_key()
    with pytest.raises(InvalidTokenError):
        verify(token(), ISSUER, other, frozenset({"RS256"}))
    with pytest.raises(InvalidTokenError):
        verify(token(), ISSUER, KEY.public_key(), frozenset({"PS256"}))
    head, body, _ = token().split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    for forged in (f"{none}.{body}.", f"{head}.{body}."):
        with pytest.raises(InvalidTokenError):
            accepted(forged)


@pytest.mark.parametrize(
    "header", [{"typ": "dpop+jwt"}, {"typ": 7}, {"crit": ["x"], "x": 1}, {"kid": 7}], ids=str
)
def test_another_kind_of_token_is_refused(header: dict[str, Any]) -> None:
    """The header must be that of a plain signed token."""
    with pytest.raises(InvalidTokenError):
        key_id_in(_with_header(header))


def _with_header(header: dict[str, Any]) -> str:
    text = json.dumps({"alg": "RS256"} | header).encode()
    return f"{base64.urlsafe_b64encode(text).decode().rstrip('=')}.e30.c2ln"


def test_the_claimed_issuer_is_read_without_trust() -> None:
    """A text that is no token has none."""
    assert issuer_in(token()) == URL
    number = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOjd9.c2ln"  # {"iss":7}
    for text in ("", "a.b.c", "x" * 5000, "e30.e30.e30", number):
        assert issuer_in(text) is None


def test_usable_keys_are_chosen() -> None:
    """Symmetric, short, encryption and unknown keys are left out; `alg` narrows the algorithms."""
    strong = KEY.public_key()
    short = rsa.generate_private_key(65537, 1024).public_key()  # noqa: S505 - it must be refused
    curve = ec.generate_private_key(ec.SECP256R1()).public_key()
    edwards = ed25519.Ed25519PrivateKey.generate().public_key()
    found = keys_in(
        {
            "keys": [
                jwk(strong, kid="any"),
                jwk(strong, kid="narrow", alg="PS256"),
                jwk(strong, kid="encryption", use="enc"),
                jwk(strong, kid="wrong", alg="ES256"),
                jwk(short, kid="short"),
                jwk(curve, kid="curve"),
                jwk(edwards, kid="edwards"),
                {"kty": "oct", "kid": "shared", "k": "c2VjcmV0"},
                {"kty": "strange", "kid": "strange"},
                "no key",
            ]
        }
    )
    assert set(found.by_id) == {"any", "narrow", "curve", "edwards"}
    assert found.by_id["narrow"][1] == {"PS256"}
    assert found.by_id["curve"][1] == {"ES256"}
    assert found.by_id["edwards"][1] == {"EdDSA"}
    nothings: tuple[object, ...] = ({}, {"keys": {}}, [])
    for nothing in nothings:
        assert not keys_in(nothing).by_id


def test_a_token_without_key_id_has_the_only_key() -> None:
    """With two keys it has none."""
    one = keys_in({"keys": [jwk(KEY.public_key())]})
    assert one.find(None) == one.find("one") is not None
    two = keys_in({"keys": [jwk(KEY.public_key()), jwk(KEY.public_key(), kid="two")]})
    assert two.find(None) is None


def test_groups_are_read_from_their_claim() -> None:
    """A text is one group; anything else is none; their number has a limit."""
    roles = Issuer(URL, "healthingest", "roles", frozenset({"clinic"}))
    assert accepted(token(roles="clinic"), roles).groups == {"clinic"}
    assert accepted(token(roles={"a": 1}), roles).groups == set()
    many = [str(number) for number in range(MAX_GROUPS + 5)]
    assert len(accepted(token(roles=many), roles).groups) == MAX_GROUPS
    assert roles.admits(frozenset({"clinic", "x"}))
    assert not roles.admits(frozenset({"x"}))
    assert ISSUER.admits(frozenset())
