"""
Measures whether the time of an answer tells a stranger that an id exists.

A stranger asks for ids that never existed, that belong to somebody else, and that were erased. The
tries are interleaved, so that all rows meet the same machine. Each row has the median and its ratio
to that of unknown ids; the answers themselves must be equal.
"""

import argparse
import asyncio
import random
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import asyncpg
import httpx
from api_database import api_database, signed_in

from healthingest_service.erasure.keys import new_key_text
from support.results import add_json_option, write_figures
from support.samples import good_file
from support.service_process import SECONDS, service

_AIM: Final = 0.05
_UNKNOWN: Final = "unknown"
_STUDY: Final = {"slug": "sleep", "name": "Sleep"}


@dataclass(frozen=True)
class Installation:
    """An API process, a stranger's client, and paths by kind and by what their ids are."""

    stranger: httpx.Client
    paths: Mapping[str, Mapping[str, Sequence[str]]]


@contextmanager
def installation(count: int) -> Iterator[Installation]:
    """Start everything; it ends with the context."""
    with ExitStack() as stack:
        opening = api_database(
            IDENTITY__ERASURE_KEY=new_key_text(),
            LIMITS__UPLOADS="1000000/second",
            JANITOR__INTERVAL_SECONDS="0.2",
        )
        database = stack.enter_context(opening)
        folder = database.folder
        api = stack.enter_context(service(folder, "api", **database.settings))
        api.wait_until_ready()
        owner = _signed_in(stack, api.address(), "owner@clinic.example")
        stranger = _signed_in(stack, api.address(), "stranger@clinic.example")
        _make_administrator(database.url)
        owner.post("/v1/studies", json=_STUDY).raise_for_status()
        foreign = [_uploaded(owner, number) for number in range(count)]
        erased = [_uploaded(owner, count + number) for number in range(count)]
        with service(folder, "janitor", **database.settings):
            _erase(owner, erased)
        chance = random.Random(1)  # noqa: S311 - ids that nobody has
        unknown = [str(UUID(int=chance.getrandbits(128), version=4)) for _ in range(count)]
        ids = {_UNKNOWN: unknown, "of another account": foreign, "erased": erased}
        studies = {_UNKNOWN: ["slept"] * count, "without a role": ["sleep"] * count}
        yield Installation(
            stranger,
            {
                "/v1/uploads/{}": ids,
                "/v1/uploads/{}/content": ids,
                "/v1/studies/{}": studies,
                "/v1/studies/{}/subjects/P-1": studies,
            },
        )


def _signed_in(stack: ExitStack, base: str, email: str) -> httpx.Client:
    client = stack.enter_context(httpx.Client(base_url=base, timeout=SECONDS))
    client.headers.update(signed_in(client, email))
    return client


def _make_administrator(url: str) -> None:
    async def work() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute("UPDATE account SET is_superuser = true WHERE email LIKE 'owner%'")
        await connection.close()

    asyncio.run(work())


def _uploaded(owner: httpx.Client, number: int) -> str:
    answer = owner.post(
        "/v1/upload", content=good_file(seed=number), headers={"Content-Type": "application/avro"}
    )
    found: str = answer.raise_for_status().json()["upload_id"]
    return found


def _erase(owner: httpx.Client, uploads: Sequence[str]) -> None:
    """Erase the uploads, and wait until all are gone."""
    requested = [owner.delete(f"/v1/uploads/{one}").raise_for_status() for one in uploads]
    deadline = time.monotonic() + SECONDS
    for answer in requested:
        path = f"/v1/erasures/{answer.json()['erasure_id']}"
        while owner.get(path).json()["state"] != "done":
            assert time.monotonic() < deadline
            time.sleep(0.05)


def measure(where: Installation, count: int) -> dict[str, float | None]:
    """Ask for each path *count* times; print a row for each kind of id, and return the ratios."""
    ratios: dict[str, float | None] = {}
    print(f"{'path':30} {'id':20} {'median ms':>9} {'ratio':>6}")
    for path, ids in where.paths.items():
        medians = _medians(where.stranger, path, ids, count)
        for kind, median in medians.items():
            ratio = median / medians[_UNKNOWN]
            ratios[f"{path} {kind}"] = ratio
            result = "" if abs(ratio - 1) <= _AIM else f"  MISSED: aim {1 - _AIM} to {1 + _AIM}"
            print(f"{path:30} {kind:20} {median * 1000:9.2f} {ratio:6.3f}{result}")
    return ratios | {"largest_deviation": max(abs(one - 1) for one in ratios.values() if one)}


def _medians(
    stranger: httpx.Client, path: str, ids: Mapping[str, Sequence[str]], count: int
) -> dict[str, float]:
    """Return the median seconds of an answer for each kind of id; all must say the same."""
    took: dict[str, list[float]] = {kind: [] for kind in ids}
    answers: dict[str, Any] = {}
    for number in range(count):
        for kind in random.Random(number).sample(list(ids), len(ids)):  # noqa: S311 - an order
            began = time.perf_counter()
            answer = stranger.get(path.format(ids[kind][number]))
            took[kind].append(time.perf_counter() - began)
            answers[kind] = _told(answer)
    assert len({str(one) for one in answers.values()}) == 1, answers
    return {kind: statistics.median(found) for kind, found in took.items()}


def _told(answer: httpx.Response) -> tuple[int, dict[str, Any]]:
    """Return what the answer says, without what differs in every answer."""
    document = answer.json()
    del document["correlation_id"]
    return answer.status_code, document


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    add_json_option(parser)
    options = parser.parse_args()
    with installation(options.count) as where:
        write_figures(options.json, measure(where, options.count))


if __name__ == "__main__":
    main()
