"""Reads published events and waits for their effects, in tests."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import nats.errors
from nats.js.errors import NotFoundError

from ticketing_common.messaging.bus import STREAM, Bus
from ticketing_common.values.events import Event

E = TypeVar("E", bound=Event)
T = TypeVar("T")


async def published(bus: Bus, kind: type[E]) -> list[E]:
    """Every event of this kind in the stream, oldest first."""
    events: list[E] = []
    sequence = 1
    while True:
        try:
            message = await bus.js.get_msg(str(STREAM.name), sequence, subject=kind.subject, next=True)
        except NotFoundError:
            return events
        events.append(kind.model_validate_json(message.data or b""))
        sequence = (message.seq or 0) + 1


async def is_listening(bus: Bus, service: str) -> bool:
    """Whether the durable consumer of the service exists."""
    try:
        await bus.js.consumer_info(str(STREAM.name), service)
    except NotFoundError:
        return False
    return True


async def wait_until(probe: Callable[[], Awaitable[T]], seconds: float = 30.0) -> T:
    """The first truthy result of the probe; an assertion error if there is none in time.

    The default only ends a test that hangs. A test of a time limit passes `seconds`.
    """
    deadline = asyncio.get_running_loop().time() + seconds
    while not (answer := await probe()):
        assert asyncio.get_running_loop().time() < deadline, (
            f"not reached after {seconds} s, last result: {answer!r}"
        )
        await asyncio.sleep(0.02)
    return answer


async def empty_stream(bus: Bus) -> None:
    """Deletes all events and consumers of earlier tests.

    The stream itself stays: the server removes the folder of a deleted stream in the background, and rejects
    a new one meanwhile ("error creating store for stream"). So the server still has the ids of deleted
    events: within the duplicate window of the stream a test must publish events with new ids.
    """
    for consumer in await bus.js.consumers_info(str(STREAM.name)):
        try:
            await bus.js.delete_consumer(str(STREAM.name), consumer.name)
        except nats.errors.Error:
            continue
    await bus.js.purge_stream(str(STREAM.name))
