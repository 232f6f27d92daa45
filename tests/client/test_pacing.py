"""When a client waits by itself, so that no file is sent in vain."""

from pathlib import Path

import httpx

from client.test_retries import Server
from healthingest_client.pacing import Pacing
from support.samples import good_file


def header(left: int, seconds: int = 60) -> str:
    """The header of an answer."""
    return f'"uploads";r={left};t={seconds}'


def test_waits_for_the_end_of_a_window_without_room() -> None:
    """As the last answer said; without an answer there is nothing to wait for."""
    pacing = Pacing()
    assert pacing.seconds_before("POST", 0) == 0
    pacing.answered("POST", header(1), 100)
    assert pacing.seconds_before("POST", 100) == 0
    pacing.answered("POST", header(0), 110)
    assert pacing.seconds_before("POST", 120) == 50
    assert pacing.seconds_before("PATCH", 120) == 0
    assert pacing.seconds_before("POST", 170) == 0


def test_requests_under_way_take_room() -> None:
    """Also before they are answered; their end gives it back to others."""
    pacing = Pacing()
    pacing.answered("POST", header(2), 0)
    first = pacing.sending("POST")
    assert pacing.seconds_before("POST", 0) == 0
    pacing.sending("POST")
    assert pacing.seconds_before("POST", 0) == 60
    pacing.ended(first)
    assert pacing.seconds_before("POST", 0) == 0


def test_requests_of_several_kinds_share_a_rule() -> None:
    """What one of them was told holds for the others, and each takes room."""
    pacing = Pacing()
    for kind, left in (("PATCH", 5), ("GET", 1)):
        pacing.answered(kind, header(left), 0)
    assert pacing.seconds_before("PATCH", 0) == 0
    pacing.sending("GET")
    assert pacing.seconds_before("PATCH", 0) == 60


def test_the_longest_of_several_rules_counts() -> None:
    """A rule of an hour is left to `Retry-After`."""
    pacing = Pacing()
    pacing.answered("POST", f'{header(0)}, "study-uploads";r=0;t=90', 0)
    assert pacing.seconds_before("POST", 0) == 90
    pacing.answered("POST", '"study-uploads";r=0;t=3600', 0)
    assert pacing.seconds_before("POST", 0) == 0


async def test_a_file_waits_before_it_is_sent(tmp_path: Path) -> None:
    """Rather than to be refused when some of its bytes have arrived."""
    (sample := tmp_path / "sample.avro").write_bytes(good_file())
    receipt = {"upload_id": "1", "object_key": "k"}
    server = Server(
        httpx.Response(201, json=receipt, headers={"RateLimit": header(0, 30)}),
        httpx.Response(201, json=receipt),
    )
    async with server.client() as client:
        for _ in range(2):
            await client.upload(sample)
    (wait,) = server.waits
    assert 0 < wait <= 30
