"""The phases of a rotation, as pure steps."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthingest_contract import environment as env
from healthingest_operator.adapters.system import system_generators
from healthingest_operator.api.healthingest import parse
from healthingest_operator.resources.names import database_users
from healthingest_operator.resources.rotation import (
    TOKEN_OVERLAP,
    Marks,
    Phase,
    Policy,
    begun,
    following,
    fresh,
    is_due,
    keys_of,
    marks_of,
    turned,
    with_another,
)
from healthingest_operator.resources.secrets import (
    NEXT_CONSUMER_PASSWORD,
    STAGED,
    Known,
    consumer_values,
    held,
    password_of,
    service_values,
    staged_values,
    user_of,
)
from support.operator_fakes import KEY, manifest

OWNER = parse(manifest())
MAKE = system_generators()
KNOWN = Known(
    "id", "secret", "amqp://broker:5672", None, "postgresql://admin:word@db:5432/postgres"
)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
A, B = MAKE.signing_key(), MAKE.signing_key()
STATES = {
    Phase.SETTLED: [A],
    Phase.INTRODUCED: [A, B],
    Phase.PROMOTED: [A, B],
    Phase.SIGNING: [B, A],
    Phase.OVERLAPPING: [B, A],
}
AFTERWARDS = [B]


def test_the_keys_go_their_way() -> None:
    """The new one verifies, then signs, then is alone; in all other steps they stay."""
    text = with_another(A, lambda: B)
    assert keys_of(text) == keys_of(with_another(text, lambda: A)) == [A, B]
    phases = [Phase.INTRODUCED, Phase.PROMOTED, Phase.SIGNING, Phase.OVERLAPPING, Phase.SETTLED]
    seen = []
    for before, after in pairwise(phases):
        text = turned(text, before, after)
        seen.append(keys_of(text))
    assert seen == [[A, B], [B, A], [B, A], [B]]


def test_no_pod_refuses_a_token_of_its_neighbour() -> None:
    """In every mixture of two neighbouring phases each pod verifies what any of them signs."""
    ways = [*STATES.values(), AFTERWARDS]
    for before, after in pairwise(ways):
        for signs in (before, after):
            for verifies in (before, after):
                old_tokens_are_over = before == STATES[Phase.OVERLAPPING]
                assert signs[0] in verifies or (old_tokens_are_over and signs[0] == A)


def test_a_token_never_outlives_its_key() -> None:
    """After its signing, every pod that may live verifies it until it expires."""
    # Only a pod of a phase before Signing signs with A; when Overlapping begins, no such pod lives.
    marks = Marks(Phase.OVERLAPPING, NOW, "t", NOW)
    last = NOW + timedelta(seconds=3600 + 10)  # the longest life, and the leeway of who verifies
    assert following(marks, last, keys=2, consumers_done=True) == marks
    assert last - NOW < TOKEN_OVERLAP


@pytest.mark.parametrize(
    ("phase", "keys", "seconds", "consumers_done", "expected"),
    [
        (Phase.SETTLED, 1, 9999, True, Phase.SETTLED),
        (Phase.INTRODUCED, 2, 9999, True, Phase.INTRODUCED),
        (Phase.PROMOTED, 2, 0, False, Phase.SIGNING),
        (Phase.PROMOTED, 1, 0, False, Phase.SETTLED),
        (Phase.SIGNING, 2, 0, False, Phase.OVERLAPPING),
        (Phase.OVERLAPPING, 2, 3659, True, Phase.OVERLAPPING),
        (Phase.OVERLAPPING, 2, 3660, False, Phase.OVERLAPPING),
        (Phase.OVERLAPPING, 2, 3660, True, Phase.SETTLED),
    ],
)
def test_what_follows(
    phase: Phase,
    keys: int,
    seconds: int,
    consumers_done: bool,  # noqa: FBT001 - a table
    expected: Phase,
) -> None:
    """Each phase has one that follows, and what must be over before."""
    now = NOW + timedelta(seconds=seconds)
    assert (
        following(Marks(phase, NOW, "t", NOW), now, keys=keys, consumers_done=consumers_done).phase
        is expected
    )


def test_when_it_is_due() -> None:
    """
    Asked for by another text, or by age.

    Never while one is under way, never for a text of before.
    """
    marks = fresh("a", NOW, replaces=False)
    yearly = Policy(after=timedelta(days=365))
    assert not is_due(marks, "a", Policy(), NOW)
    assert not is_due(marks, "", Policy(), NOW + timedelta(days=9999))
    assert is_due(marks, "b", Policy(), NOW)
    assert not is_due(marks, "a", yearly, NOW + timedelta(days=364))
    assert is_due(marks, "a", yearly, NOW + timedelta(days=365))
    assert not is_due(begun("b", NOW), "c", yearly, NOW + timedelta(days=365))


@given(
    st.sampled_from(Phase),
    # hypothesis wants them naive
    st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1)),  # noqa: DTZ001
    st.text("ab-", max_size=9),
)
def test_marks_are_read_as_written(phase: Phase, time: datetime, token: str) -> None:
    """To the second."""
    moment = time.replace(microsecond=0, tzinfo=UTC)
    marks = Marks(phase, moment, token, moment)
    assert (
        marks_of({"metadata": {"annotations": marks.annotations}}, NOW, staged=False, keys=1)
        == marks
    )


@pytest.mark.parametrize(
    ("staged", "keys", "phase"),
    [(True, 2, Phase.INTRODUCED), (False, 2, Phase.PROMOTED), (False, 1, Phase.SETTLED)],
)
def test_lost_marks_are_concluded(staged: bool, keys: int, phase: Phase) -> None:  # noqa: FBT001 - a table
    """From the values: a second key is never dropped at once."""
    assert marks_of({"metadata": {}}, NOW, staged=staged, keys=keys).phase is phase


def test_the_other_names_come_with_new_passwords() -> None:
    """
    Pods keep what they have until the outside has confirmed the new ones.

    Twice is there and back.
    """
    first = service_values(OWNER, KNOWN, {}, {}, MAKE)
    readers = consumer_values(OWNER, KNOWN, {}, {}, MAKE)
    staged = staged_values({}, Phase.INTRODUCED, MAKE)
    assert set(staged) == set(STAGED)
    assert staged_values(first | staged, Phase.INTRODUCED, MAKE) == staged
    wanted = service_values(OWNER, KNOWN, first, staged, MAKE)
    kept = held(first, wanted)
    for name in (env.BROKER_URL, env.DATABASE_URL):
        assert kept[name] == first[name]
        assert password_of(wanted[name]) in staged.values()
    assert user_of(wanted[env.BROKER_URL]) == "clinic.relay-b"
    assert user_of(wanted[env.DATABASE_URL]) == database_users(KEY)[1]
    assert wanted[env.DATABASE_URL].rpartition("/")[2] == database_users(KEY)[0]
    other = consumer_values(OWNER, KNOWN, readers, staged, MAKE)
    assert (other["username"], other["password"]) == (
        "clinic.consumer-b",
        staged[NEXT_CONSUMER_PASSWORD],
    )
    assert consumer_values(OWNER, KNOWN, other, staged, MAKE) == other
    back = service_values(OWNER, KNOWN, wanted, staged_values({}, Phase.INTRODUCED, MAKE), MAKE)
    assert user_of(back[env.BROKER_URL]) == user_of(first[env.BROKER_URL])
    assert user_of(back[env.DATABASE_URL]) == user_of(first[env.DATABASE_URL])


def test_names_fit_into_postgresql() -> None:
    """Both names of a login differ within the 63 bytes that count."""
    long = parse(manifest() | {"metadata": {"namespace": "n" * 63, "name": "a" * 40, "uid": "u"}})
    users = database_users(long.key)
    assert len({user[:63] for user in users}) == 2
    assert max(map(len, users)) <= 63
