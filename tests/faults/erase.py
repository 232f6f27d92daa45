"""
The second part of `make faults`.

Erases people under running uploads while faults take effect at every step, and proves afterwards
that what was confirmed as erased is nowhere on disk, and does not come back.

Prints what it has done and exits 1 when something erased was found, something else was harmed, a
retry succeeded, a certificate does not verify, or a fault did not take effect.
"""

import argparse
import asyncio
import hashlib
import logging
import random
import secrets
import sys
import time
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from uuid import UUID

import asyncpg
import structlog

from healthingest_service.adapters.s3.client import open_client
from healthingest_service.erasure import certificate
from healthingest_service.erasure.errors import InvalidCertificateError
from healthingest_service.erasure.keys import ErasureKeys
from support.erasure_points import ErasurePoint
from support.faults.fleet import API, Fleet
from support.faults.leftovers import DATABASE, OBJECT_STORE, Leftovers
from support.faults.people import Person, StudyClients, new_person
from support.faults.points import AnyPoint, Fault, Mode, Point, arm, hits
from support.faults.world import World, world
from support.results import add_json_option, write_figures
from support.s3 import access_to

ROLES = (*API, "relay", "janitor-1", "janitor-2")
POINTS: tuple[AnyPoint, ...] = (
    *(point for point in ErasurePoint if "second" not in point),
    Point.AFTER_BEGIN,  # of an upload: its process may hang while its subject is erased
    Point.BEFORE_PUT,
    Point.AFTER_PUT,
    Point.BEFORE_COMPLETE,
    Point.JANITOR_AFTER_HEAD,
)
MODES = (Mode.KILL, Mode.RAISE, Mode.HANG)
HANG_SECONDS = 6.0
"""Longer than the lease of an erasure, so that the other janitor takes it."""
DONE_SECONDS = 300.0
RESTORE_SECONDS = 120.0
UPLOADERS = 4
UPLOAD_PAUSE_SECONDS = 0.25
"""Pause of an uploader; without it uploads would take the processor time of the erasures."""
AT_ONCE = 4
"""Erasures in progress."""
FAULTS_PER_PERSON = 2
ROUNDS_IN_BACKUP = 2
"""Uploads about each person in the backup: with all of them each restore would take a minute."""
DOWNLOADS_AT_ONCE = 4
"""As many as an account may have in one process."""
MORE_GROUPS = 12
"""
The largest number of further groups that are erased until each fault point was met.

The janitor's point is met only after a fault has ended an upload that no erasure removes.
"""
BACKUP = "backup_of_the_proof"


@dataclass(frozen=True)
class Size:
    """How much is done."""

    people: int
    uploads: int
    retries: int
    restores: int
    is_measured: bool


WHOLE = Size(people=100, uploads=100, retries=1000, restores=100, is_measured=True)
SHORT = Size(people=12, uploads=6, retries=60, restores=2, is_measured=False)


@dataclass
class Proof:
    """The world, its people, and what was found to be wrong."""

    world: World
    clients: StudyClients
    size: Size
    people: list[Person]
    wrong: list[str] = field(default_factory=list)
    figures: dict[str, float | None] = field(default_factory=dict)

    @property
    def erased(self) -> list[Person]:
        """The people whose erasure was requested."""
        return [one for one in self.people if one.erased_at is not None]

    @property
    def kept(self) -> list[Person]:
        """The others."""
        return [one for one in self.people if one.erased_at is None]

    def expect(self, what: str, found: object, wanted: object) -> None:
        """Print a result; it is wrong unless it is *wanted*."""
        is_right = found == wanted
        say(f"{what}: {found}" + ("" if is_right else f"  WRONG, expected {wanted}"))
        if not is_right:
            self.wrong.append(f"{what}: {found}")


def main() -> int:
    """Run it; returns the exit code."""
    parser = argparse.ArgumentParser(description="Prove that what is erased is nowhere.")
    parser.add_argument("--short", action="store_true", help="a few people: minutes")
    parser.add_argument("--restores", type=int, help="databases to restore, in place of 100")
    parser.add_argument(
        "--seed", type=int, default=secrets.randbelow(2**32), help="to repeat a run"
    )
    add_json_option(parser)
    options = parser.parse_args()
    logging.disable()  # the consumer's library tells of every closed connection
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    warnings.simplefilter("ignore", RuntimeWarning)  # aio-pika's, about its own connections
    say(f"seed {options.seed}: repeat with --seed {options.seed}")
    began = time.monotonic()
    size = SHORT if options.short else WHOLE
    if options.restores is not None:
        size = replace(size, restores=options.restores)
    proof = asyncio.run(run(options.seed, size))
    wrong = proof.wrong
    write_figures(options.json, proof.figures)
    outcome = "FAILED" if wrong else "the promise of an erasure held"
    say(f"seed {options.seed}, {time.monotonic() - began:.0f} s: {outcome}")
    for text in wrong:
        say(f"  {text}")
    return 1 if wrong else 0


def say(text: str) -> None:
    """Print one line, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def run(seed: int, size: Size) -> Proof:
    """Run it all, and return what was found."""
    async with world(seed, disks=False, roles=ROLES) as made:
        await keep_versions(made)
        proof = Proof(made, await study_clients(made), size, people_of(made.random, size))
        await asyncio.gather(*(proof.clients.enrol(person) for person in proof.people))
        await fill(proof, rounds=ROUNDS_IN_BACKUP)
        await back_up(proof)
        await fill(proof, rounds=size.uploads - ROUNDS_IN_BACKUP)
        await erase_under_faults(proof)
        await check_certificates(proof)
        await check_events(proof)
        await retry_erased(proof)
        await check_kept(proof)
        await check_restores(proof)
        await search(proof)
    proof.figures |= {"people": len(proof.erased), "wrong": len(proof.wrong)}
    return proof


def people_of(chance: random.Random, size: Size) -> list[Person]:
    """Return new people."""
    return [new_person(chance) for _ in range(size.people)]


async def keep_versions(made: World) -> None:
    """Turn on versions of objects."""
    access = access_to(made.servers.store)
    async with open_client(access) as client:
        await client.put_bucket_versioning(
            Bucket=access.bucket, VersioningConfiguration={"Status": "Enabled"}
        )


async def study_clients(made: World) -> StudyClients:
    """Create the study, and return its clients; the first account has all roles."""
    owner = made.clients.owners[0]
    statement = "UPDATE account SET is_superuser = true WHERE id = $1"
    await made.query(statement, UUID(owner.id))
    clients = StudyClients(made.fleet, made.random, made.clients.http, owner.token)
    await clients.create_study(owner.id)
    return clients


async def fill(proof: Proof, *, rounds: int) -> None:
    """Upload about everybody, so many times."""
    began = time.monotonic()
    for _ in range(rounds):
        await asyncio.gather(*(proof.clients.upload(person) for person in proof.people))
    acknowledged = sum(len(person.acknowledged) for person in proof.people)
    say(f"{acknowledged} uploads about {len(proof.people)} people")
    say(f"  in {time.monotonic() - began:.0f} s")
    proof.expect("uploads not acknowledged", len(_refused(proof.people)), 0)


def _refused(people: list[Person]) -> list[object]:
    return [one for person in people for one in person.sent if not one.upload_id]


async def back_up(proof: Proof) -> None:
    """Copy the database as it is before the first erasure."""
    made = proof.world
    await made.drained()
    await asyncio.to_thread(made.fleet.stop)
    await _copy_database(made, _database(made.database_url), BACKUP)
    await made.fleet.start()


async def _copy_database(made: World, source: str, target: str) -> None:
    statement = f"CREATE DATABASE {target} TEMPLATE {source}"
    await asyncio.to_thread(made.servers.database.execute, statement)


def _database(url: str) -> str:
    return url.rpartition("/")[2]


async def erase_under_faults(proof: Proof) -> None:
    """Erase half of the people, a few at once, while uploads run and faults take effect."""
    begun = time.monotonic()
    faults = list(_faults(proof))
    chosen = proof.people[: len(proof.people) // 2]
    async with uploads_running(proof), restarting(proof.world):
        groups_left = MORE_GROUPS
        while chosen or faults or (_unmet(proof) and groups_left):
            group, chosen = chosen[:AT_ONCE], chosen[AT_ONCE:]
            if not group:  # more faults than people: their erasures need somebody
                group = [await _newcomer(proof) for _ in range(AT_ONCE)]
            if not chosen and not faults:
                groups_left -= 1
                faults = [Fault(Point.BEFORE_COMPLETE, Mode.RAISE, 0.0)]
            count = FAULTS_PER_PERSON * len(group)
            for fault in faults[:count]:
                arm(proof.world.faults, fault)
            faults = faults[count:]
            await asyncio.gather(*(proof.clients.erase(person) for person in group))
            await _wait_until_done(proof, group)
            if proof.size.people == WHOLE.people:
                seconds = time.monotonic() - begun
                say(f"  {len(proof.erased)} people erased after {seconds:.0f} s")
    struck = Counter(fault.mode for fault in hits(proof.world.faults))
    say(f"{len(proof.erased)} people erased in {time.monotonic() - begun:.0f} s")
    say("faults that took effect: " + ", ".join(f"{n} {mode}" for mode, n in struck.items()))
    proof.expect("points that no fault met", _unmet(proof), [])
    await proof.world.heal()
    await _settle(proof)


def _unmet(proof: Proof) -> list[AnyPoint]:
    """Return the points that no process has come to."""
    return sorted(set(POINTS) - {fault.point for fault in hits(proof.world.faults)})


def _faults(proof: Proof) -> Iterator[Fault]:
    """Yield faults: each mode at each point, or in a short run one mode at each point."""
    chance = proof.world.random
    wanted = [(point, mode) for point in POINTS for mode in MODES]
    if proof.size.people == SHORT.people:
        wanted = [(point, chance.choice(MODES)) for point in POINTS]
    chance.shuffle(wanted)
    for point, mode in wanted:
        yield Fault(point, mode, HANG_SECONDS if mode is Mode.HANG else 0.0)


async def _newcomer(proof: Proof) -> Person:
    person = new_person(proof.world.random)
    await proof.clients.enrol(person)
    await asyncio.gather(*(proof.clients.upload(person) for _ in range(2)))
    proof.people.append(person)
    return person


async def _wait_until_done(proof: Proof, group: list[Person]) -> None:
    deadline = time.monotonic() + DONE_SECONDS
    waiting = list(group)
    while waiting:
        if time.monotonic() > deadline:
            proof.wrong.append(f"{len(waiting)} erasures are not done after {DONE_SECONDS:.0f} s")
            return
        found = [await proof.clients.erasure(person) for person in waiting]
        waiting = [
            person
            for person, erasure in zip(waiting, found, strict=True)
            if erasure["state"] != "done"
        ]
        await asyncio.sleep(0.1)


@asynccontextmanager
async def uploads_running(proof: Proof) -> AsyncIterator[None]:
    """Upload about everybody, also about the erased, until the context ends."""
    is_over = asyncio.Event()

    async def send() -> None:
        while not is_over.is_set():
            await proof.clients.upload(proof.world.random.choice(proof.people))
            with suppress(TimeoutError):
                async with asyncio.timeout(UPLOAD_PAUSE_SECONDS):
                    await is_over.wait()

    tasks = [asyncio.create_task(send()) for _ in range(UPLOADERS)]
    try:
        yield
    finally:
        is_over.set()
        await asyncio.gather(*tasks)


@asynccontextmanager
async def restarting(made: World) -> AsyncIterator[None]:
    """Start processes again that a fault has ended."""

    async def watch() -> None:
        while True:
            await made.fleet.start()
            await asyncio.sleep(0.1)

    task = asyncio.create_task(watch())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _settle(proof: Proof) -> None:
    """Wait until nothing is in progress and no message waits."""
    deadline = time.monotonic() + DONE_SECONDS
    under_way = (
        "SELECT (SELECT count(*) FROM outbox)"
        " + (SELECT count(*) FROM upload WHERE state = 'storing')"
        " + (SELECT count(*) FROM erasure WHERE state <> 'done')"
    )
    found = await proof.world.query(under_way)
    while found[0][0] and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
        found = await proof.world.query(under_way)
    proof.expect("uploads, messages and erasures in progress", found[0][0], 0)


async def check_certificates(proof: Proof) -> None:
    """Verify each certificate, and its number of uploads."""
    keys = ErasureKeys.from_text(proof.world.settings["IDENTITY__ERASURE_KEY"])
    verified = 0
    counted = 0
    for person in proof.erased:
        erasure = await proof.clients.erasure(person)
        with suppress(InvalidCertificateError):
            claims = certificate.verify(
                erasure["certificate"] or "", keys.certificates.public_key()
            )
            verified += claims["erasure_id"] == person.erasure_id
            counted += claims["counts"]["uploads"]
    proof.expect("certificates that verify", verified, len(proof.erased))
    proof.figures["unverified"] = len(proof.erased) - verified
    acknowledged = sum(len(person.acknowledged) for person in proof.erased)
    say(f"uploads in certificates: {counted}, acknowledged: {acknowledged}")
    proof.expect("acknowledged uploads beyond certificates", max(0, acknowledged - counted), 0)


async def check_events(proof: Proof) -> None:
    """Check who was acknowledged after an erasure, and that consumers heard of everything."""
    late = [
        one
        for person in proof.erased
        for one in person.acknowledged
        if person.erased_at is not None and one.began_at > person.erased_at
    ]
    proof.expect("uploads acknowledged that began after the erasure", len(late), 0)
    proof.figures["acknowledged_late"] = len(late)
    consumer = proof.world.consumer
    kept = {one.upload_id for person in proof.kept for one in person.acknowledged}
    erased = {one.upload_id for person in proof.erased for one in person.acknowledged}

    def unheard() -> tuple[int, int]:
        heard = {one.upload_id for one in consumer.heard}
        return len(kept - heard), len(erased - consumer.erased)

    await proof.world.until(lambda: unheard() == (0, 0), seconds=DONE_SECONDS)
    proof.expect("kept uploads not announced, erased ones not told", unheard(), (0, 0))


async def retry_erased(proof: Proof) -> None:
    """Send erased bytes again, with the old idempotency key and with new ones."""
    chance = proof.world.random
    chosen = [
        (person, chance.choice(person.sent).number, chance.random() < 0.5)
        for person in chance.choices(proof.erased, k=proof.size.retries)
    ]
    answers = await asyncio.gather(
        *(proof.clients.retry(who, number, same_key=same) for who, number, same in chosen)
    )
    found = Counter((one.status, one.code) for one in answers)
    wanted = {(410, "subject-erased"): proof.size.retries}
    proof.expect("answers to retries of erased uploads", dict(found), wanted)
    proof.figures["retries_accepted"] = sum(n for (status, _), n in found.items() if status < 300)


async def check_kept(proof: Proof) -> None:
    """Download every file of the people who were not erased."""
    files = [(person, one) for person in proof.kept for one in person.acknowledged]
    slots = asyncio.Semaphore(DOWNLOADS_AT_ONCE)

    async def is_intact(person: Person, number: int, upload_id: str) -> bool:
        async with slots:
            found = await proof.clients.content(upload_id)
        return hashlib.sha256(found).digest() == hashlib.sha256(person.content(number)).digest()

    intact = await asyncio.gather(
        *(is_intact(person, one.number, one.upload_id or "") for person, one in files)
    )
    proof.expect("intact files of the others", sum(intact), len(files))
    proof.figures["others_harmed"] = len(files) - sum(intact)


async def check_restores(proof: Proof) -> None:
    """Start janitors on databases from before the erasures, which must erase again."""
    made = proof.world
    began = time.monotonic()
    erased_again = 0
    await asyncio.to_thread(made.fleet.stop)
    for number in range(proof.size.restores):
        erased_again += await _is_erased_again(proof, f"restored_{number}")
    say(f"restores took {time.monotonic() - began:.0f} s")
    proof.expect("restored databases that were erased again", erased_again, proof.size.restores)
    proof.figures["restores_not_erased"] = proof.size.restores - erased_again
    await asyncio.to_thread(made.servers.database.execute, f"DROP DATABASE {BACKUP}")


async def _is_erased_again(proof: Proof, name: str) -> bool:
    made = proof.world
    await _copy_database(made, BACKUP, name)
    role = "janitor-1"
    url = made.servers.database.database_url(name)
    settings = {role: made.fleet.settings[role] | {"DATABASE__URL": url}}
    fleet = Fleet(made.folder / name, settings, (role,))
    fleet.folder.mkdir()
    try:
        await fleet.start()
        return await _has_no_erased(proof, url)
    finally:
        await asyncio.to_thread(fleet.stop)
        statement = f"DROP DATABASE {name} WITH (FORCE)"
        await asyncio.to_thread(made.servers.database.execute, statement)


async def _has_no_erased(proof: Proof, url: str) -> bool:
    """Return whether the rows of all erased people disappear in time."""
    names = [person.pseudonym for person in proof.erased]
    deadline = time.monotonic() + RESTORE_SECONDS
    connection = await asyncpg.connect(url, timeout=10)
    try:
        while time.monotonic() < deadline:
            left = await connection.fetchval(
                "SELECT (SELECT count(*) FROM subject WHERE pseudonym = ANY($1))"
                " + (SELECT count(*) FROM upload WHERE subject = ANY($1))"
                " + (SELECT count(*) FROM erasure WHERE state <> 'done')",
                names,
                timeout=10,
            )
            if not left:
                return True
            await asyncio.sleep(0.1)
        return False
    finally:
        await connection.close()


async def search(proof: Proof) -> None:
    """Search the raw bytes on disk."""
    leftovers = Leftovers(proof.world, proof.erased, proof.kept)
    await proof.world.deafen()
    await leftovers.rewrite()
    found = await asyncio.to_thread(leftovers.search)
    for place, files in found.items():
        proof.expect(f"erased marks and hashes in {place}", files, {})
    for line in leftovers.requests_about(found[OBJECT_STORE]):
        say(f"  {line}")
    for line in await leftovers.relations(found[DATABASE]):
        say(f"  {line}")
    proof.figures["left"] = sum(sum(files.values()) for files in found.values())
    control = await asyncio.to_thread(leftovers.control)
    for place, count in control.items():
        say(f"marks and hashes of the others in {place}: {count}")
    proof.expect("places where the search is blind", [p for p, n in control.items() if not n], [])
    for place, count in (await asyncio.to_thread(leftovers.transient)).items():
        say(f"erased marks and hashes that {place} keeps until it is recycled: {count}")
    if proof.size.is_measured:
        for line in await leftovers.measure():
            say(line)


if __name__ == "__main__":
    sys.exit(main())
