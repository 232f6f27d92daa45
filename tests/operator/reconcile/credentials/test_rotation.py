"""The transitions of a rotation."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthingest_contract import environment as env
from healthingest_operator.adapters.system import system_generators
from healthingest_operator.api.healthingest import parse
from healthingest_operator.reconcile.credentials.rotation import (
    TOKEN_OVERLAP,
    TRANSITIONS,
    Action,
    Phase,
    Policy,
    Progress,
    RotationState,
    initial_state,
    is_due,
    next_state,
    state_of,
)
from healthingest_operator.resources.names import database_users
from healthingest_operator.resources.secrets import (
    NEXT_CONSUMER_PASSWORD,
    STAGED,
    UserSecrets,
    confirmed_values,
    consumer_values,
    password_of,
    service_values,
    staged_values,
    user_of,
)
from healthingest_operator.resources.signing_keys import (
    keys_of,
    with_first_key_only,
    with_second_key,
    with_second_key_first,
)
from support.operator_fakes import KEY, manifest

OWNER = parse(manifest())
MAKE = system_generators()
KNOWN = UserSecrets(
    "id", "secret", "amqp://broker:5672", None, "postgresql://admin:word@db:5432/postgres"
)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
A = MAKE.signing_key()
B = MAKE.signing_key()
STATES = {
    Phase.SETTLED: [A],
    Phase.INTRODUCED: [A, B],
    Phase.PROMOTED: [A, B],
    Phase.SIGNING: [B, A],
    Phase.OVERLAPPING: [B, A],
}
AFTERWARDS = [B]


def test_the_keys_go_their_way() -> None:
    """The new one verifies, then signs, then is alone."""
    text = with_second_key(A, lambda: B)
    assert keys_of(text) == keys_of(with_second_key(text, lambda: A)) == [A, B]
    text = with_second_key_first(text)
    assert keys_of(text) == [B, A]
    assert keys_of(with_first_key_only(text)) == [B]


def test_the_actions_of_a_rotation_in_order() -> None:
    """Every phase has a transition, and a whole rotation changes the Secret four times."""
    assert {row.phase for row in TRANSITIONS} == set(Phase)
    state = initial_state("", NOW, replaces=False)
    progress = Progress(
        NOW + TOKEN_OVERLAP,
        "again",
        is_due=True,
        logins_confirmed=True,
        pods_are_current=True,
        consumers_revoked=True,
        signing_keys=2,
    )
    actions = []
    for _ in Phase:
        state, action = next_state(state, progress)
        progress = replace(progress, now=progress.now + TOKEN_OVERLAP)
        actions.append(action)
    assert state.phase is Phase.SETTLED
    assert state.request == "again"
    assert actions == [
        Action.STAGE_CREDENTIALS,
        Action.PROMOTE_LOGINS,
        Action.SIGN_WITH_NEW_KEY,
        Action.NONE,
        Action.REMOVE_OLD_KEY,
    ]


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
    state = RotationState(Phase.OVERLAPPING, NOW, "t", NOW)
    last = NOW + timedelta(seconds=3600 + 10)  # the longest life, and the leeway of who verifies
    progress = Progress(last, pods_are_current=True, consumers_revoked=True, signing_keys=2)
    assert next_state(state, progress)[0] == state
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
    progress = Progress(
        now, pods_are_current=True, consumers_revoked=consumers_done, signing_keys=keys
    )
    state, _ = next_state(RotationState(phase, NOW, "t", NOW), progress)
    assert state.phase is expected


def test_when_it_is_due() -> None:
    """
    Asked for by another text, or by age.

    Never while one is under way, never for a text of before.
    """
    state = initial_state("a", NOW, replaces=False)
    yearly = Policy(after=timedelta(days=365))
    assert not is_due(state, "a", Policy(), NOW)
    assert not is_due(state, "", Policy(), NOW + timedelta(days=9999))
    assert is_due(state, "b", Policy(), NOW)
    assert not is_due(state, "a", yearly, NOW + timedelta(days=364))
    assert is_due(state, "a", yearly, NOW + timedelta(days=365))
    assert not is_due(
        RotationState(Phase.INTRODUCED, NOW, "b", NOW), "c", yearly, NOW + timedelta(days=365)
    )


@given(
    st.sampled_from(Phase),
    # hypothesis wants them naive
    st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1)),  # noqa: DTZ001
    st.text("ab-", max_size=9),
)
def test_a_state_is_read_as_written(phase: Phase, time: datetime, request: str) -> None:
    """To the second."""
    moment = time.replace(microsecond=0, tzinfo=UTC)
    state = RotationState(phase, moment, request, moment)
    assert (
        state_of({"metadata": {"annotations": state.annotations}}, NOW, staged=False, keys=1)
        == state
    )


@pytest.mark.parametrize(
    ("staged", "keys", "phase"),
    [(True, 2, Phase.INTRODUCED), (False, 2, Phase.PROMOTED), (False, 1, Phase.SETTLED)],
)
# FBT001: a table
def test_a_lost_state_is_derived(staged: bool, keys: int, phase: Phase) -> None:  # noqa: FBT001
    """From the values: a second key is never dropped at once."""
    assert state_of({"metadata": {}}, NOW, staged=staged, keys=keys).phase is phase


def test_the_other_names_come_with_new_passwords() -> None:
    """
    Pods keep what they have until the outside has confirmed the new ones.

    Twice is there and back.
    """
    first = service_values(OWNER, KNOWN, {}, {}, MAKE)
    readers = consumer_values(OWNER, KNOWN, {}, {}, MAKE)
    staged = staged_values({}, MAKE)
    assert set(staged) == set(STAGED)
    assert staged_values(first | staged, MAKE) == staged
    wanted = service_values(OWNER, KNOWN, first, staged, MAKE)
    kept = confirmed_values(first, wanted)
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
    back = service_values(OWNER, KNOWN, wanted, staged_values({}, MAKE), MAKE)
    assert user_of(back[env.BROKER_URL]) == user_of(first[env.BROKER_URL])
    assert user_of(back[env.DATABASE_URL]) == user_of(first[env.DATABASE_URL])


def test_names_fit_into_postgresql() -> None:
    """Both names of a login differ within the 63 bytes that count."""
    long = parse(manifest() | {"metadata": {"namespace": "n" * 63, "name": "a" * 40, "uid": "u"}})
    users = database_users(long.key)
    assert len({user[:63] for user in users}) == 2
    assert max(map(len, users)) <= 63
