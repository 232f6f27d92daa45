"""Connections that break or hang at a given moment, and wrong answers."""

import asyncio
import base64
import hashlib
from collections.abc import Callable
from functools import partial

from healthingest_service.uploads.discrepancies import Discrepancy
from support.faults.case import HIT_SECONDS, Case
from support.faults.consistency import check_consistency, put_object
from support.faults.history import Outcome
from support.faults.proxy import Harm, Proxy, Trouble
from support.faults.world import World
from support.samples import good_file
from support.servers.scripted import answer, head_answer

SMALL_BYTES = len(good_file())


def harm_cases(world: World) -> list[Case]:
    """All of them."""
    proxies = world.proxies
    put = (f"PUT /{world.servers.store.bucket}/raw/".encode(),)
    # Each is one statement; the first of an upload has the key of the object.
    begin = (b"raw/HeartRateRecord/",)
    complete = (b"health.processing.",)
    publish = (b"health.processing.",)
    harms = [
        *(("store", proxies.store, put, harm) for harm in Harm if harm is not Harm.ANSWER),
        *(
            ("first commit", proxies.database, begin, harm)
            for harm in (Harm.CUT_BEFORE, Harm.LOSE_ANSWER)
        ),
        *(
            ("second commit", proxies.database, complete, harm)
            for harm in (Harm.CUT_BEFORE, Harm.LOSE_ANSWER)
        ),
        ("second commit", proxies.database, complete, Harm.SWALLOW_ANSWER),
        *(
            ("publish", proxies.broker, publish, harm)
            for harm in (Harm.CUT_BEFORE, Harm.LOSE_ANSWER)
        ),
        ("publish", proxies.broker, publish, Harm.SWALLOW_ANSWER),
    ]
    made = [
        Case(f"{name}: {harm}", partial(harmed, way=way, trouble=partial(Trouble, seen, harm, 2.0)))
        for name, way, seen, harm in harms
    ]
    codes = {
        503: "SlowDown",
        500: "InternalError",
        409: "OperationAborted",
        412: "PreconditionFailed",
        403: "AccessDenied",
    }
    return [*made, *_lies(world)] + [
        Case(
            f"store: answers {status} {code}",
            partial(
                harmed,
                way=proxies.store,
                trouble=partial(Trouble, put, Harm.ANSWER, 0.2, answer(status, code)),
            ),
        )
        for status, code in codes.items()
    ]


def _lies(world: World) -> list[Case]:
    """Return the wrong answers of a store."""
    bucket = world.servers.store.bucket
    way = world.proxies.store
    put, head = (f"PUT /{bucket}/raw/".encode(),), (f"HEAD /{bucket}/raw/".encode(),)
    other = base64.b64encode(hashlib.sha256(b"other bytes").digest()).decode()
    kept_other = answer(200, headers=[f"x-amz-checksum-sha256: {other}"])

    def put_unclear_and_head(told: bytes) -> Trouble:
        return Trouble(
            put,
            Harm.ANSWER,
            answer=answer(503, "SlowDown"),
            then=Trouble(head, Harm.ANSWER, answer=told),
        )

    alerts: dict[str, Callable[[], Trouble]] = {
        "says that it kept other bytes": lambda: Trouble(put, Harm.ANSWER, answer=kept_other),
        "an unclear PUT, and a HEAD of another size": lambda: put_unclear_and_head(
            head_answer(7, "0" * 64)
        ),
        "an unclear PUT, and a HEAD of other bytes": lambda: put_unclear_and_head(
            head_answer(SMALL_BYTES, "0" * 64)
        ),
        "an unclear PUT, and a HEAD that fails": lambda: put_unclear_and_head(answer(503)),
    }
    return [
        *(
            Case(
                f"store: {name}",
                partial(harmed, way=way, trouble=trouble, strikes=2 if "HEAD" in name else 1),
            )
            for name, trouble in alerts.items()
        ),
        Case("store: says 200 and keeps nothing", partial(kept_nothing, put=put)),
    ]


async def kept_nothing(world: World, put: tuple[bytes, ...]) -> bool:
    """
    The store answers 200 and stores nothing, which the service trusts.

    The checker and the consistency check find it. Then the object is restored.
    """
    way = world.proxies.store
    content = world.clients.new_file()
    before = way.hits
    way.trouble = Trouble(put, Harm.ANSWER, answer=answer(200))
    attempt = await world.clients.upload(content)
    _, result = await world.settle()
    if not any(fault.startswith("I1: ") for fault in result.broken):
        world.wrong.append("the validate did not miss the object")
    counts = await check_consistency(world)
    if counts.discrepancies[Discrepancy.ROW_WITHOUT_OBJECT] != 1:
        world.wrong.append(f"the consistency check found {dict(counts.discrepancies)}")
    await put_object(world, attempt.answers[-1].key, content)
    await check_consistency(
        world
    )  # the upload is `lost`; the next consistency check finds it again
    return way.hits > before and attempt.outcome is Outcome.ACKNOWLEDGED


async def harmed(
    world: World, way: Proxy, trouble: Callable[[], Trouble], strikes: int = 1
) -> bool:
    """A connection is broken or paused at a certain moment."""
    before = way.hits
    way.trouble = trouble()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(4):
            tasks.create_task(world.clients.upload())
    return await world.until(lambda: way.hits - before >= strikes, seconds=HIT_SECONDS)
