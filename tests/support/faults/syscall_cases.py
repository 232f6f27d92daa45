"""The blind sweep: one upload, met at whatever system calls it makes."""

from functools import partial

from support.faults.case import CannotError, Case
from support.faults.syscalls import Blow, CannotTraceError, effects, plan, probe_life, strike
from support.faults.world import World

SAMPLE = 20
MOST = 8
"""Of a call that is made more often, the long form meets so many, chosen by the seed."""
ROLES = ("api-1", "relay")


def syscall_cases(*, short: bool) -> list[Case]:
    """In the short form a sample that the seed chooses; else each call of an upload, until none is left to meet."""
    if short:
        return [Case(f"{role}: {SAMPLE // len(ROLES)} system calls", partial(sample, role=role)) for role in ROLES]
    return [
        Case(f"{role}: each system call {effect}", partial(sweep, role=role, kills=kills))
        for role in ROLES
        for effect, kills in (("kills", True), ("fails", False))
    ]


async def sample(world: World, role: str) -> bool:
    """As many blows as fit; whether all struck."""
    counts = await _plan(world, role)
    struck = 0
    for number in range(SAMPLE // len(ROLES)):
        name = world.random.choice(sorted(counts))
        blow = Blow(name, effects(name)[-1 if number % 2 else 0], world.random.randint(1, counts[name]))
        has_struck = await _met(world, role, blow)
        while not has_struck and blow.number > 1:  # threads share their work differently each time
            blow = Blow(name, blow.effect, blow.number // 2)
            has_struck = await _met(world, role, blow)
        struck += has_struck
    world.notes[f"system calls of {role} in the sample that no upload came to"] += SAMPLE // len(ROLES) - struck
    return struck > SAMPLE // len(ROLES) // 2


async def sweep(world: World, role: str, *, kills: bool) -> bool:
    """One call after the other, until an upload ends without having come to so many; whether most names were met."""
    counts, met = await _plan(world, role), 0
    for name, count in sorted(counts.items()):
        if not kills and len(effects(name)) == 1:
            continue
        numbers = range(1, count + 1) if count <= MOST else sorted(world.random.sample(range(1, count + 1), MOST))
        struck = 0
        for number in numbers:
            if not await _met(world, role, Blow(name, effects(name)[0 if kills else -1], number)):
                break  # threads share their work differently each time: the last ones are not always made
            struck += 1
        world.notes[f"{role}, {name} {'killed' if kills else 'failed'}"] += struck
        met += struck > 0
    return met > len(counts) // 2


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
    try:
        struck = await strike(world, role, blow)
    except CannotTraceError:  # an earlier blow may take its time to kill, or the machine to attach
        await world.settle()
        struck = await strike(world, role, blow)
    if await probe_life(world, role):
        world.notes[f"{role} ended, as it did not say that it lives, after {blow.name}, {blow.effect}"] += 1
    _, verdict = await world.settle()
    world.wrong += [f"{blow}: {text}" for text in verdict.faults()]
    world.notes["blows at system calls that struck"] += struck
    return struck
