"""kopf handlers of HealthIngests: changes are enqueued, deletions are carried out."""

from collections.abc import Awaitable, Callable
from typing import Final

import kopf

from healthingest_contract.conditions import API_GROUP, API_VERSION, PLURAL
from healthingest_operator.api.healthingest import Key
from healthingest_operator.api.manifest import ManifestView
from healthingest_operator.reconcile.queue import KeyedQueue, Lane

Finalize = Callable[[Key, ManifestView], Awaitable[bool]]
"""Removes the resources outside the cluster; returns whether the finalizer may be removed."""

RETRY_DELETION_SECONDS: Final = 5.0


def lane(event_type: str | None, body: ManifestView, *, known: bool = False) -> Lane:
    """
    Return the priority lane of an event.

    When the operator starts, it lists all HealthIngests. Those that are already Ready get the
    lowest priority, so that a restart serves changed ones first. A *known* HealthIngest that is
    listed again with changes gets the highest one, because its watch event was missed.
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
    Register the handlers.

    There is no handler for create, update or field, because this operator is level-triggered.
    """

    @kopf.on.event(API_GROUP, API_VERSION, PLURAL, registry=registry)
    async def changed(event: kopf.RawEvent, body: kopf.Body, memo: kopf.Memo, **_: object) -> None:
        meta = body.metadata
        key = Key(meta.namespace or "", meta.name or "")
        if event["type"] == "DELETED":
            queue.forget(key)
            return
        version = (meta.get("generation"), dict(meta.annotations), meta.get("uid"))
        # The operator's own status writes also cause events; they change none of these fields.
        if memo.get("version") != version:
            known = "version" in memo
            memo["version"] = version
            queue.enqueue(key, lane(event["type"], body, known=known))

    @kopf.on.delete(API_GROUP, API_VERSION, PLURAL, registry=registry)
    async def deleted(body: kopf.Body, **_: object) -> None:
        if not await finalize(Key(body.metadata.namespace or "", body.metadata.name or ""), body):
            message = "an external system is not reachable"
            raise kopf.TemporaryError(message, delay=RETRY_DELETION_SECONDS)
