"""HealthIngests themselves: a change pokes the queue, a deletion is carried out."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import kopf

from healthingest_contract.conditions import API_GROUP, API_VERSION, PLURAL
from healthingest_operator.api.healthingest import Key
from healthingest_operator.reconcile.queue import KeyedQueue, Lane

Finalize = Callable[[Key, Mapping[str, Any]], Awaitable[bool]]
"""Takes away what lies outside the cluster; whether the HealthIngest may go now."""

RETRY_DELETION_SECONDS: Final = 5.0


def lane(event_type: str | None, body: Mapping[str, Any], *, known: bool = False) -> Lane:
    """
    One that is listed, and was ready as it is, lets others go first.

    All are listed when an operator starts.

    A *known* one that has changed before it is listed again has changed unseen.
    """
    status = body.get("status") or {}
    ready = any(
        entry["type"] == "Ready" and entry["status"] == "True"
        for entry in status.get("conditions") or ()
    )
    current = status.get("observedGeneration") == body["metadata"].get("generation")
    return Lane.RESYNC if event_type is None and ready and current and not known else Lane.CHANGE


def register(registry: kopf.OperatorRegistry, queue: KeyedQueue[Key], finalize: Finalize) -> None:
    """
    Add the handlers.

    No handler for create, update or field: this operator is level-triggered.
    """

    @kopf.on.event(API_GROUP, API_VERSION, PLURAL, registry=registry)
    async def seen(event: kopf.RawEvent, body: kopf.Body, memo: kopf.Memo, **_: object) -> None:
        meta = body.metadata
        key = Key(meta.namespace or "", meta.name or "")
        if event["type"] == "DELETED":
            queue.forget(key)
            return
        mark = (meta.get("generation"), dict(meta.annotations), meta.get("uid"))
        # Our own writes of the status come back as events; they change none of these.
        if memo.get("mark") != mark:
            known = "mark" in memo
            memo["mark"] = mark
            queue.poke(key, lane(event["type"], body, known=known))

    @kopf.on.delete(API_GROUP, API_VERSION, PLURAL, registry=registry)
    async def deleted(body: kopf.Body, **_: Any) -> None:  # noqa: ANN401 - kopf passes what it likes
        if not await finalize(Key(body.metadata.namespace or "", body.metadata.name or ""), body):
            message = "waits for what cannot be reached"
            raise kopf.TemporaryError(message, delay=RETRY_DELETION_SECONDS)
