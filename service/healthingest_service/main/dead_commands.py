"""The commands of `healthingest-admin` for dead letters."""

from collections.abc import Mapping
from datetime import datetime

from healthingest_contract import environment as env
from healthingest_contract.events import rfc3339
from healthingest_service.adapters.rabbitmq_dead_letters import RabbitMQDeadLetters
from healthingest_service.main.runtime import utc_now
from healthingest_service.main.tls_files import broker_tls_material
from healthingest_service.settings import InvalidSettingsError, Settings
from healthingest_service.uploads.dead_letters import (
    DeadLetter,
    DeadLetters,
    DeadLetterSelection,
)

_SCHEMES = ("amqp://", "amqps://")


class NoDeadLetterError(Exception):
    """No dead letter that was looked at is selected."""


class NotRedrivenError(Exception):
    """Some dead letters were not accepted; the message says how many."""


def open_dead_letters(settings: Settings, queue: str, reader_url: str | None) -> DeadLetters:
    """
    Return the dead letters of *queue*.

    Without *reader_url* they are read with the login that publishes.

    Raises:
        InvalidSettingsError: there is no broker, or *reader_url* is no address of one.
    """
    broker = settings.broker
    if broker.url is None:
        message = f"{env.BROKER_URL}: dead letters need a broker"
        raise InvalidSettingsError(message)
    if reader_url is not None and not reader_url.startswith(_SCHEMES):
        message = "the input must be the address of a broker, amqp://… or amqps://…"
        raise InvalidSettingsError(message)
    publisher_url = broker.url.get_secret_value()
    return RabbitMQDeadLetters(
        queue=queue,
        reader_url=reader_url or publisher_url,
        publisher_url=publisher_url,
        timeout_seconds=broker.timeout_seconds,
        tls=broker_tls_material(settings),
    )


async def list_letters(
    letters: DeadLetters, selection: DeadLetterSelection, *, limit: int
) -> Mapping[str, object]:
    """Return the oldest dead letters, without headers."""
    page = await letters.peek(selection, limit=limit)
    now = utc_now()
    return {
        "waiting": page.waiting,
        "looked_at": page.looked_at,
        "dead_letters": [_shown(one, now) for one in page.letters],
    }


async def show_letter(letters: DeadLetters, message_id: str, *, limit: int) -> Mapping[str, object]:
    """
    Return a dead letter with its headers, but without its contents.

    Raises:
        NoDeadLetterError: none that was looked at has this id.
    """
    page = await letters.peek(DeadLetterSelection(frozenset({message_id})), limit=limit)
    if not page.letters:
        raise NoDeadLetterError
    first = page.letters[0]
    return {
        **_shown(first, utc_now()),
        "copies": len(page.letters),
        "type": first.type,
        "exchange": first.exchange,
        "published_at": _time(first.published_at),
        "headers": dict(first.headers),
    }


async def redrive(
    letters: DeadLetters, selection: DeadLetterSelection, *, limit: int
) -> Mapping[str, object]:
    """
    Publish dead letters again, and return their number.

    Raises:
        NoDeadLetterError: none that was looked at is selected.
        NotRedrivenError: some are still there; the others were published.
    """
    done = await letters.redrive(selection, limit=limit)
    if done.refused:
        message = (
            f"{done.settled} were published again; {done.refused} are still there, because no"
            " queue is bound, a queue is full, or their origin is not known"
        )
        raise NotRedrivenError(message)
    if not done.settled:
        raise NoDeadLetterError
    return {"redriven": done.settled, "looked_at": done.looked_at, "waiting": done.waiting}


async def drop(
    letters: DeadLetters, selection: DeadLetterSelection, *, limit: int
) -> Mapping[str, object]:
    """
    Remove dead letters, and return their number.

    Raises:
        NoDeadLetterError: none that was looked at is selected.
    """
    done = await letters.drop(selection, limit=limit)
    if not done.settled:
        raise NoDeadLetterError
    return {"dropped": done.settled, "looked_at": done.looked_at, "waiting": done.waiting}


def _shown(letter: DeadLetter, now: datetime) -> dict[str, object]:
    age = None if letter.died_at is None else max(0, int((now - letter.died_at).total_seconds()))
    return {
        "id": letter.id,
        "upload_id": letter.upload_id,
        "routing_key": letter.routing_key,
        "reason": letter.reason,
        "deaths": letter.deaths,
        "died_at": _time(letter.died_at),
        "age_seconds": age,
        "size_bytes": letter.size_bytes,
    }


def _time(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)
