"""The port `EventPublisher` with a span for each message."""

from dataclasses import replace

from typing_extensions import override

from healthingest_service.telemetry.tracing import Destination, Tracing
from healthingest_service.uploads.model import OutgoingMessage
from healthingest_service.uploads.relay_ports import EventPublisher


class TracedPublisher(EventPublisher):
    """Publishes with *publisher*; the message carries the trace of its own span."""

    def __init__(self, publisher: EventPublisher, tracing: Tracing, *, exchange: str) -> None:
        self._publisher = publisher
        self._tracing = tracing
        self._exchange = exchange

    @override
    async def publish(self, message: OutgoingMessage) -> None:
        to = Destination(self._exchange, message.routing_key, str(message.id))
        with self._tracing.sending(message.headers, to) as headers:
            if headers is not message.headers:
                message = replace(message, headers=headers)
            await self._publisher.publish(message)
