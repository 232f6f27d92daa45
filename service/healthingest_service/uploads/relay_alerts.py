"""
Log events for problems of the relay.

There is one line when a problem begins and one when it ends, for any number of messages.
"""

from typing import Final

import structlog

from healthingest_service.uploads.model import DeferralReason, OutgoingMessage

BROKER_LOST: Final = "broker_lost"
BROKER_BACK: Final = "broker_back"
MESSAGES_DEFERRED: Final = "messages_deferred"
MESSAGES_ACCEPTED_AGAIN: Final = "messages_accepted_again"


class RelayAlerts:
    """
    Tracks the current problems: a lost broker, and routing keys whose messages are deferred.

    There is one routing key for each record type, so the state stays small.
    """

    def __init__(self) -> None:
        self._broker_is_lost = False
        self._reasons: dict[str, DeferralReason] = {}
        self._log = structlog.get_logger("healthingest.relay")

    def deferred(self, message: OutgoingMessage, reason: DeferralReason) -> None:
        """Log that *message* was not confirmed, if that is the first of its kind."""
        if reason is DeferralReason.UNREACHABLE:
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
                MESSAGES_DEFERRED,
                routing_key=message.routing_key,
                reason=reason.value,
                message_id=str(message.id),
                attempts=message.attempts + 1,
            )

    def announced(self, message: OutgoingMessage) -> None:
        """Log the end of the problem, if the confirm of *message* is the first after it."""
        self._broker_answers()
        if self._reasons.pop(message.routing_key, None) is not None:
            self._log.info(MESSAGES_ACCEPTED_AGAIN, routing_key=message.routing_key)

    def _broker_answers(self) -> None:
        if self._broker_is_lost:
            self._broker_is_lost = False
            self._log.info(BROKER_BACK)
