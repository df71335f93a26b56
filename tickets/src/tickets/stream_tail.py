"""Follows the stream for ever, across outages, for readers that need every event in order.

The durable consumer of a service delivers each event to one replica. Here every replica keeps its own
position instead. A consumer on the server is valid for one connection only: a restarted server has forgotten
it, and messages in flight are lost with a connection. So after any error a new consumer continues behind the
last message returned.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence

import nats.errors
from nats.aio.msg import Msg
from nats.js.api import StreamInfo
from nats.js.client import JetStreamContext

from ticketing_common.messaging.bus import NATS_UNAVAILABLE, Bus
from ticketing_common.messaging.stream_reader import Position, StoredMessage, open_reader, stored_message
from ticketing_common.observability.logs import get_logger

_BATCH = 256
_FETCH_TIMEOUT = 0.5
"""Seconds. An idle reader notices a restart of the server after at most this time."""
_RETRY_EVERY = 0.25
"""Seconds."""

log = get_logger(__name__)


async def tail_stream(
    bus: Bus, subjects: Sequence[str], after: Position
) -> AsyncIterator[tuple[Position, list[StoredMessage]]]:
    """Every message behind the position, in order, for ever, each batch with the position that it reaches.

    Waits during an outage, and then first yields a position without messages. That position is smaller than
    the previous one if the stream was lost and created anew, or has lost its end.
    """
    while True:
        try:
            after = _resume_position(await bus.stream_info(), after)
            reconnects = bus.reconnects
            async with open_reader(bus, subjects, after) as (subscription, _):
                yield after, []
                batch = 1
                while True:
                    messages = await _fetch(subscription, batch)
                    if bus.reconnects != reconnects:
                        break
                    batch = 1
                    if messages:
                        # The server returns a batch at once if it has that many messages, and a single one
                        # always.
                        batch = min(max(messages[-1].metadata.num_pending, 1), _BATCH)
                        stored = [stored_message(message, after.stream_created_ms) for message in messages]
                        after = stored[-1].position
                        yield after, stored
        except NATS_UNAVAILABLE as error:
            log.debug("reading the stream failed, retrying", reason=repr(error))
            await asyncio.sleep(_RETRY_EVERY)


def _resume_position(stream: StreamInfo, after: Position) -> Position:
    """Where to continue: at the start of a stream created anew, at the end of one that has lost its end."""
    start = Position.of(stream, 0)
    if start.stream_created_ms != after.stream_created_ms:
        return start
    return after._replace(sequence=min(after.sequence, stream.state.last_seq))


async def _fetch(subscription: JetStreamContext.PullSubscription, batch: int) -> list[Msg]:
    try:
        return await subscription.fetch(batch, _FETCH_TIMEOUT)
    except nats.errors.TimeoutError:
        return []
