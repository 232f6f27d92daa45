"""The blind sweep: one upload, met at whatever system calls it makes."""

from functools import partial

from support.faults.case import CannotError, Case
from support.faults.syscalls import ERRORS, KILL, Blow, CannotTraceError, effects, plan, probe_life, strike
from support.faults.world import World

SAMPLE = 20
MOST = 8
"""Of a call that is made more often, the long form meets so many, chosen by the seed."""
ROLES = ("api-1", "relay")


def syscall_cases(*, short: bool) -> list[Case]:
    """In the short form a sample that the seed chooses; else each call by itself, until none is left to meet."""
    if short:
        return [Case(f"{role}: {SAMPLE // len(ROLES)} system calls", partial(sample, role=role)) for role in ROLES]
    return [
        Case(f"{role}: each {name}, {effect}", partial(sweep, role=role, name=name, effect=effect))
        for role in ROLES
        for name in ERRORS
        for effect in effects(name)
    ]


async def sample(world: World, role: str) -> bool:
    """As many blows as fit; whether all struck."""
    counts = await _plan(world, role)
    struck = 0
    for number in range(SAMPLE // len(ROLES)):
        name = world.random.choice(sorted(counts))
        effect = KILL if number % 2 else effects(name)[-1]
        blow = Blow(name, effect, world.random.randint(1, counts[name]))
        while not await _met(world, role, blow) and blow.number > 1:  # threads share their work differently each time
            blow = Blow(name, effect, blow.number // 2)
        struck += 1
    return struck == SAMPLE // len(ROLES)


async def sweep(world: World, role: str, name: str, effect: str) -> bool:
    """One call after the other, until an upload ends without having come to so many."""
    counts = await _plan(world, role)
    count, struck = counts.get(name, 0), 0
    numbers = range(1, count + 1) if count <= MOST else sorted(world.random.sample(range(1, count + 1), MOST))
    for number in numbers:
        if not await _met(world, role, Blow(name, effect, number)):
            break
        struck += 1
    return struck > 0 or not count


async def _plan(world: World, role: str) -> dict[str, int]:
    """Made once for a run: it is the same for each upload, more or less."""
    if role not in world.calls:
        try:
            world.calls[role] = await plan(world, role)
        except CannotTraceError as error:
            raise CannotError(str(error)) from error
    return world.calls[role]


async def _met(world: World, role: str, blow: Blow) -> bool:
    """One blow, heal, drain, judge."""
    struck = await strike(world, role, blow)
    if await probe_life(world, role):
        world.notes[f"{role} ended, as it did not say that it lives, after {blow.name}, {blow.effect}"] += 1
    _, verdict = await world.settle()
    world.wrong += [f"{blow}: {text}" for text in verdict.faults()]
    world.notes[f"system calls of {role} that {'killed' if blow.effect == KILL else 'failed'}"] += struck
    return struck
