"""What kopf is told."""

import itertools

from healthingest_operator.runtime.kopf_settings import LONGEST_PAUSE_SECONDS, operator_settings


def test_a_term_that_ended_leaves_no_alarm_clock_behind() -> None:
    """Kopf would kill the process ten minutes after its stop, while the process leads again."""
    assert operator_settings(1.0).process.ultimate_exiting_timeout is None


def test_no_refusal_is_the_last() -> None:
    """
    After its last attempt kopf would end the operator for all namespaces.

    Each request begins with short pauses.
    """
    backoffs = operator_settings(1.0).networking.error_backoffs
    assert not isinstance(backoffs, float)
    for _ in range(2):
        pauses = list(itertools.islice(backoffs, 1000))
        assert pauses[0] == 1
        assert max(pauses) == pauses[-1] == LONGEST_PAUSE_SECONDS
