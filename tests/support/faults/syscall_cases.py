"""Faults at system calls of an upload, or of the settling of one."""

from functools import partial

from support.faults.case import CannotError, Case
from support.faults.point_cases import large_file, leave_unsettled
from support.faults.syscalls import Blow, CannotTraceError, Way, effects, plan, probe_life, strike
from support.faults.world import LEASE_SECONDS, World

SAMPLE = 20
MOST = 8
"""The largest number of calls of one kind that the long form interrupts; the seed chooses them."""
WAY_SECONDS = 3.0


def syscall_cases(*, short: bool) -> list[Case]:
    """
    Return the cases; the short form has a sample that the seed chooses.

    The long form has each call of a way.
    """
    small = Way("api-1", "api-1", _small)
    large = Way("api-1, large body", "api-1", _large)
    relay = Way("relay", "relay", _small)
    janitor = Way("janitor", "janitor", _settling)
    if short:
        counts = ((small, SAMPLE // 4), (large, SAMPLE // 4), (relay, SAMPLE // 2))
        return [_sampled(way, count) for way, count in counts]
    swept = [
        Case(f"{way.name}: each system call {effect}", partial(sweep, way=way, kills=kills))
        for way in (small, large, relay)
        for effect, kills in (("kills", True), ("fails", False))
    ]
    return [*swept, _sampled(janitor, SAMPLE // 2)]  # each of its blows takes as long as a lease


def _sampled(way: Way, count: int) -> Case:
    return Case(f"{way.name}: {count} system calls", partial(sample, way=way, count=count))


async def sample(world: World, way: Way, count: int) -> bool:
    """Inject a sample of faults; return whether most took effect."""
    counts = await _plan(world, way)
    struck = 0
    for number in range(count):
        name = world.random.choice(sorted(counts))
        blow = Blow(
            name, effects(name)[-1 if number % 2 else 0], world.random.randint(1, counts[name])
        )
        has_struck = await _met(world, way, blow)
        while not has_struck and blow.number > 1:  # threads share their work differently each time
            blow = Blow(name, blow.effect, blow.number // 2)
            has_struck = await _met(world, way, blow)
        struck += has_struck
    world.notes[f"system calls of {way.name} in the sample that it did not come to"] += (
        count - struck
    )
    return struck > count // 2


async def sweep(world: World, way: Way, *, kills: bool) -> bool:
    """
    Interrupt one call after the other, until the way ends before the call.

    Returns whether most kinds of calls were interrupted.
    """
    counts = await _plan(world, way)
    met = 0
    for name, count in sorted(counts.items()):
        if not kills and len(effects(name)) == 1:
            continue
        numbers = (
            range(1, count + 1)
            if count <= MOST
            else sorted(world.random.sample(range(1, count + 1), MOST))
        )
        struck = 0
        for number in numbers:
            if not await _met(world, way, Blow(name, effects(name)[0 if kills else -1], number)):
                # threads share their work differently each time: the last ones are not always made
                break
            struck += 1
        world.notes[f"{way.name}, {name} {'killed' if kills else 'failed'}"] += struck
        met += struck > 0
    return met > len(counts) // 2


async def _plan(world: World, way: Way) -> dict[str, int]:
    """Return the plan of a run, which is made once, because it is about the same each time."""
    if way.name not in world.calls:
        try:
            world.calls[way.name] = await plan(world, way)
        except CannotTraceError as error:
            raise CannotError(str(error)) from error
    return world.calls[way.name]


async def _met(world: World, way: Way, blow: Blow) -> bool:
    """Inject one fault, repair, wait for all messages, and check the history."""
    try:
        struck = await strike(world, way, blow)
    except CannotTraceError:  # an earlier blow may take its time to kill, or the machine to attach
        await world.settle()
        struck = await strike(world, way, blow)
    if await probe_life(world, way.role):
        world.notes[
            f"{way.name} ended, as it did not say that it lives, after {blow.name}, {blow.effect}"
        ] += 1
    _, result = await world.settle()
    world.wrong += [f"{way.name}, {blow}: {text}" for text in result.faults()]
    world.notes["blows at system calls that struck"] += struck
    return struck


async def _small(world: World, role: str) -> None:
    await _upload(world, role, None)


async def _large(world: World, role: str) -> None:
    await _upload(world, role, large_file(world))


async def _upload(world: World, role: str, content: bytes | None) -> None:
    """Send one upload and wait for its message, unless *role* dies."""
    process = world.fleet.running[role].process
    attempt = await world.clients.upload(content, first=role if role.startswith("api") else None)
    wanted = {answer.upload_id for answer in attempt.answers if answer.upload_id}
    await world.until(
        lambda: (
            process.poll() is not None or wanted <= {one.upload_id for one in world.consumer.heard}
        ),
        seconds=WAY_SECONDS,
    )


async def _settling(world: World, role: str) -> None:
    """Leave an unsettled row, and wait for its message, unless *role* dies."""
    process = world.fleet.running[role].process
    heard = len(world.consumer.heard)
    await leave_unsettled(world, vanish=False)
    await world.until(
        lambda: process.poll() is not None or len(world.consumer.heard) > heard,
        seconds=LEASE_SECONDS + WAY_SECONDS,
    )
