"""The identity of a pod, and the renewal of its temporary keys."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from healthingest_contract.pod_identity import (
    RETRY_SECONDS,
    ContainerIdentity,
    IdentityFailure,
    KeySource,
    PodIdentityError,
    TemporaryKeys,
    WebIdentity,
    keys_in,
    keys_in_body,
    pod_identity,
    refusal,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROLE = {"AWS_ROLE_ARN": "arn:aws:iam::1:role/r", "AWS_WEB_IDENTITY_TOKEN_FILE": "/token"}
AGENT = {
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/agent-token",
}
KEYS = TemporaryKeys("id", "secret", "session", 100.0)
REFUSED = PodIdentityError(IdentityFailure.REFUSED, "sts", "AccessDenied")


async def body_of(*chunks: bytes) -> AsyncIterator[bytes]:
    """Yield the chunks of a body."""
    for chunk in chunks:
        yield chunk


async def test_the_body_of_an_endpoint_is_read_up_to_a_limit() -> None:
    """In whatever chunks it comes; one that is longer or not JSON is unusable."""
    answer = {
        "AccessKeyId": "id",
        "SecretAccessKey": "secret",
        "Token": "session",
        "Expiration": "2026-01-01T00:01:40Z",
    }
    text = json.dumps(answer).encode()
    assert await keys_in_body(body_of(text[:9], text[9:]), NOW) == KEYS
    with pytest.raises(ValueError, match="Expecting value"):
        await keys_in_body(body_of(b"keys"), NOW)
    endless = [b" " * 1024] * 65
    with pytest.raises(ValueError, match=r"^$"):
        await keys_in_body(body_of(*endless, text), NOW)


def test_the_variables_of_admission_webhooks_are_read() -> None:
    """A role takes precedence over an endpoint, and half of a description counts as none."""
    wanted = WebIdentity("arn:aws:iam::1:role/r", Path("/token"))
    assert pod_identity(ROLE) == wanted
    assert pod_identity(ROLE | AGENT) == wanted
    assert pod_identity(AGENT) == ContainerIdentity(
        "http://169.254.170.23/v1/credentials", Path("/agent-token")
    )
    assert pod_identity({"AWS_ROLE_ARN": "arn:aws:iam::1:role/r"}) is None
    assert pod_identity({}) is None


def test_a_static_key_of_the_environment_has_precedence() -> None:
    """As in botocore, which then uses its own chain."""
    assert pod_identity({"AWS_ACCESS_KEY_ID": "key"} | ROLE) is None


def test_region_endpoint_and_session_can_be_set() -> None:
    """The webhook of EKS sets the region; `where` has no login of the address."""
    more = {
        "AWS_REGION": "eu-central-1",
        "AWS_ENDPOINT_URL_STS": "https://u:p@sts.example:9000",
        "AWS_ROLE_SESSION_NAME": "clinic",
    }
    found = pod_identity(ROLE | more)
    assert isinstance(found, WebIdentity)
    assert (found.region, found.session_name) == ("eu-central-1", "clinic")
    assert found.where == "sts.example:9000"


@pytest.mark.parametrize(
    ("uri", "is_allowed"),
    [
        ("http://169.254.170.23/v1/credentials", True),
        ("http://[fd00:ec2::23]/v1/credentials", True),
        ("http://127.0.0.1:80/keys", True),
        ("https://agent.example/keys", True),
        ("http://agent.example/keys", False),
        ("http://169.254.169.254/keys", False),
    ],
)
def test_only_the_node_is_asked_without_tls(uri: str, is_allowed: bool) -> None:  # noqa: FBT001
    """Otherwise the token would cross the network in plain text."""
    assert ContainerIdentity(uri).is_allowed is is_allowed


@pytest.mark.parametrize(
    "answer",
    [
        [],
        None,
        {},
        {"AccessKeyId": "a", "SecretAccessKey": "b", "Token": "c"},
        {"AccessKeyId": "a", "SecretAccessKey": "b", "Token": "c", "Expiration": "soon"},
        {"AccessKeyId": "a", "SecretAccessKey": "", "Token": "c", "Expiration": f"{NOW:%FT%TZ}"},
        {
            "AccessKeyId": "a",
            "SecretAccessKey": "b",
            "Token": "c",
            "Expiration": "2026-01-01T00:00",
        },
    ],
)
def test_an_unusable_answer_is_an_error(answer: object) -> None:
    """Keys without session or expiry are none."""
    with pytest.raises(ValueError, match=r"^$|Invalid"):
        keys_in(answer, NOW)


def test_keys_are_read_from_both_kinds_of_answers() -> None:
    """STS gives a time (parsed by botocore), an endpoint a text."""
    later = NOW + timedelta(minutes=10)
    wanted = TemporaryKeys("a", "b", "c", 600)
    keys = {"AccessKeyId": "a", "SecretAccessKey": "b"}
    assert keys_in(keys | {"SessionToken": "c", "Expiration": later}, NOW) == wanted
    assert keys_in(keys | {"Token": "c", "Expiration": f"{later:%FT%TZ}"}, NOW) == wanted


def test_a_failure_that_passes_is_no_refusal() -> None:
    """The provider of STS, or STS itself, is out of order or busy."""
    for status, code in ((503, "ServiceUnavailable"), (400, "IDPCommunicationError")):
        assert refusal("sts", status, code).failure is IdentityFailure.UNREACHABLE
    assert refusal("sts", 403, "AccessDenied").failure is IdentityFailure.REFUSED


def test_an_error_has_no_foreign_text() -> None:
    """Only a code of letters and digits is kept."""
    assert PodIdentityError(IdentityFailure.REFUSED, "sts", "no <token> eyJ").code == ""
    assert REFUSED.code == "AccessDenied"


@dataclass
class TokenService:
    """Gives the next keys, or fails; `now` is its clock."""

    now: float = 1000.0
    results: list[TemporaryKeys | PodIdentityError] = field(default_factory=list)
    asked: int = 0
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def exchange(self) -> TemporaryKeys:
        """Return the next result; the last one is repeated."""
        self.asked += 1
        await self.may_answer.wait()
        result = self.results.pop(0) if len(self.results) > 1 else self.results[0]
        if isinstance(result, PodIdentityError):
            raise result
        return result


def service(*results: TemporaryKeys | PodIdentityError) -> tuple[TokenService, KeySource]:
    """A service that answers at once, and a source of its keys."""
    made = TokenService(results=list(results))
    made.may_answer.set()
    return made, KeySource(made.exchange, lambda: made.now)


async def test_keys_are_kept_for_three_quarters_of_their_lifetime() -> None:
    """Then they are renewed in the background: the caller still gets the present ones."""
    tokens, source = service(KEYS, replace(KEYS, session_token="second"))
    assert await source.keys() == KEYS
    tokens.now += 74
    assert await source.keys() == KEYS
    assert tokens.asked == 1
    tokens.now += 2
    assert (await source.keys()).session_token == "session"
    await asyncio.sleep(0)
    assert (await source.keys()).session_token == "second"
    assert tokens.asked == 2


async def test_a_failed_renewal_is_repeated_and_harms_nobody_yet() -> None:
    """Until the keys expire callers get them; then they get the error."""
    tokens, source = service(KEYS, REFUSED)
    await source.keys()
    tokens.now += 80
    assert await source.keys() == KEYS
    await asyncio.sleep(0)
    tokens.now += RETRY_SECONDS
    assert await source.keys() == KEYS
    await asyncio.sleep(0)
    assert tokens.asked == 3
    tokens.now += 20
    with pytest.raises(PodIdentityError, match="refused"):
        await source.keys()


async def test_expired_keys_are_replaced_before_they_are_used() -> None:
    """A pod that has slept waits for new keys."""
    tokens, source = service(KEYS, replace(KEYS, session_token="second"))
    await source.keys()
    tokens.now += 96
    assert (await source.keys()).session_token == "second"


async def test_a_refusing_service_gets_few_requests() -> None:
    """For two seconds callers get the last error; afterwards it is asked again."""
    tokens, source = service(REFUSED, KEYS)
    for _ in range(20):
        with pytest.raises(PodIdentityError):
            await source.keys()
    assert tokens.asked == 1
    tokens.now += RETRY_SECONDS
    assert await source.keys() == KEYS


async def test_callers_share_an_exchange_that_outlives_them() -> None:
    """A caller with a shorter deadline does not cancel it for the others."""
    tokens, source = service(KEYS)
    tokens.may_answer.clear()
    callers = [asyncio.create_task(source.keys()) for _ in range(5)]
    await asyncio.sleep(0)
    callers[0].cancel()
    await asyncio.sleep(0)
    tokens.may_answer.set()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1:] == [KEYS] * 4
    assert tokens.asked == 1


async def test_keys_that_a_server_calls_expired_are_replaced() -> None:
    """A clock may be wrong; keys of the last moment stay, for an earlier request was refused."""
    tokens, source = service(KEYS, replace(KEYS, session_token="second"))
    await source.keys()
    source.discard()
    assert await source.keys() == KEYS
    tokens.now += RETRY_SECONDS
    source.discard()
    assert (await source.keys()).session_token == "second"


async def test_keys_that_have_expired_already_are_an_error() -> None:
    """The clock of the service or of this machine is wrong."""
    _, source = service(replace(KEYS, lifetime_seconds=-1))
    with pytest.raises(PodIdentityError):
        await source.keys()


async def test_close_ends_an_exchange() -> None:
    """No task stays behind."""
    tokens, source = service(KEYS)
    tokens.may_answer.clear()
    caller = asyncio.create_task(source.keys())
    await asyncio.sleep(0)
    await source.close()
    with pytest.raises(asyncio.CancelledError):
        await caller
