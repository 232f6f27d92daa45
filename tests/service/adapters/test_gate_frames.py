"""The answers of a worker of the gate, as they come on the socket."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from healthingest_service.adapters.avro_validation.frames import Answer, Answers, Kind, head

_ANSWERS = st.lists(
    st.builds(
        Answer,
        kind=st.sampled_from(list(Kind)),
        number=st.integers(0, 2**64 - 1),
        payload=st.binary(max_size=40),
    )
)


@given(_ANSWERS, st.data())
def test_answers_are_the_same_in_any_pieces(sent: list[Answer], data: st.DataObject) -> None:
    """Each one comes as soon as its last byte has come."""
    frames = [head(Kind(kind), n, len(payload)) + payload for kind, n, payload in sent]
    received = b"".join(frames)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(received)))) | {0, len(received)})
    answers = Answers()
    found: list[Answer] = []
    for begin, end in pairwise(cuts):
        found += answers.split(received[begin:end])
        assert found == [
            answer for number, answer in enumerate(sent, 1) if sum(map(len, frames[:number])) <= end
        ]
    assert found == sent
