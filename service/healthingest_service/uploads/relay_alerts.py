"""
Log events for problems of the relay.

One line when a problem begins and one when it ends, for any number of messages.
"""

from typing import Final

import structlog

from healthingest_service.uploads.model import OutgoingMessage, PutOffReason

BROKER_LOST: Final = "broker_lost"
BROKER_BACK: Final = "broker_back"
MESSAGES_PUT_OFF: Final = "messages_put_off"
MESSAGES_TAKEN_AGAIN: Final = "messages_taken_again"


class RelayAlerts:
    """
    The current problems: whether the broker is lost, and which routing keys it refuses.

    There are as many routing keys as record types, so the state stays small.
    """

    def __init__(self) -> None:
        self._broker_is_lost = False
        self._reasons: dict[str, PutOffReason] = {}
        self._log = structlog.get_logger("healthingest.relay")

    def put_off(self, message: OutgoingMessage, reason: PutOffReason) -> None:
        """A message was not confirmed. The line names the first of its kind."""
        if reason is PutOffReason.UNREACHABLE:
            if not self._broker_is_lost:
                self._broker_is_lost = True
                self._log.warning(
                    BROKER_LOST, message_id=str(message.id), attempts=message.attempts + 1
                )
            return
        self._broker_answers()
        if self._reasons.get(message.routing_key) is not reason:
            self._reasons[message.routing_key] = reason
            self._log.warning(
                MESSAGES_PUT_OFF,
                routing_key=message.routing_key,
                reason=reason.value,
                message_id=str(message.id),
                attempts=message.attempts + 1,
            )

    def announced(self, message: OutgoingMessage) -> None:
        """A message was confirmed."""
        self._broker_answers()
        if self._reasons.pop(message.routing_key, None) is not None:
            self._log.info(MESSAGES_TAKEN_AGAIN, routing_key=message.routing_key)

    def _broker_answers(self) -> None:
        if self._broker_is_lost:
            self._broker_is_lost = False
            self._log.info(BROKER_BACK)
