"""The durable pull consumer of a service, shared by all replicas and versions of the service.

Each version adds its subjects to the filter of the consumer, and none removes any: an older version must not
drop the events of a newer one. Operators remove subjects by `python -m ticketing_operations unsubscribe`.
"""

import contextlib
from collections.abc import Iterable
from dataclasses import replace

from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo
from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError

from ticketing_common.messaging.bus import STREAM, Bus, ConsumerExists
from ticketing_common.observability.logs import get_logger

_STREAM = str(STREAM.name)
_REQUEST_TIMEOUT = 2.0
"""Seconds."""
_ACK_WAIT = 2.0
"""Seconds until a message that a killed process was handling is redelivered. The listener extends it."""
_SETTINGS = ConsumerConfig(
    ack_policy=AckPolicy.EXPLICIT,
    ack_wait=_ACK_WAIT,
    max_deliver=-1,  # the listener counts failures, so that no message is dropped silently
    # Unlimited, because messages that wait for redelivery count: with a limit, messages of a subject that no
    # running version consumes would block all others. The server uses about 100 bytes of memory for each, and
    # writes all of them whenever it stores the state of the consumer.
    max_ack_pending=-1,
)

log = get_logger(__name__)


class Consumer:
    """The durable consumer of a service: created on demand, with our subjects in its filter."""

    def __init__(self, bus: Bus, service: str, subjects: Iterable[str]) -> None:
        self._bus = bus
        self._service = service
        self._subjects = frozenset(subjects)
        self._filter: frozenset[str] = frozenset()

    async def ensure(self) -> ConsumerInfo:
        """Create the consumer, or add our subjects to its filter. Raises one of NATS_UNAVAILABLE."""
        while True:
            info = await self._read(self._service)
            if info is None:
                with contextlib.suppress(ConsumerExists):  # another replica has just created it
                    await self._bus.create_consumer(
                        replace(_SETTINGS, durable_name=self._service, filter_subjects=sorted(self._subjects))
                    )
                continue
            self._filter = subjects_of(info.config)
            missing = self._subjects - self._filter if self._filter else frozenset()
            if not missing and _has_settings(info.config):
                return info
            log.info("updating the consumer", added=sorted(missing))
            await self._write(info.config, self._filter | missing)

    async def is_removed(self, subject: str) -> bool:
        """Whether the subject was removed from the filter. Raises one of NATS_UNAVAILABLE.

        Reads the filter again before it returns True, because another version may have just added the
        subject.
        """
        if not self._filter or subject in self._filter:
            return False
        info = await self._read(self._service)
        return info is not None and subject not in subjects_of(info.config)

    async def remove(self, subjects: Iterable[str]) -> frozenset[str]:
        """Remove subjects from the filter, return the others. Raises ValueError, one of NATS_UNAVAILABLE."""
        info = await self._read(self._service)
        if info is None:
            raise ValueError(f"there is no consumer {self._service}")
        filtered = subjects_of(info.config)
        if unknown := frozenset(subjects) - filtered:
            raise ValueError(f"{self._service} does not consume {', '.join(sorted(unknown))}")
        left = filtered - frozenset(subjects)
        if not left:
            raise ValueError(f"{self._service} would consume no subject at all")
        await self._write(info.config, left)
        return left

    async def subscribe(self) -> JetStreamContext.PullSubscription:
        """Raises one of NATS_UNAVAILABLE."""
        return await self._bus.js.pull_subscribe_bind(durable=self._service, stream=_STREAM)

    async def _write(self, config: ConsumerConfig, subjects: frozenset[str]) -> None:
        written = replace(
            config,
            filter_subject=None,
            filter_subjects=sorted(subjects),
            ack_wait=_SETTINGS.ack_wait,
            max_deliver=_SETTINGS.max_deliver,
            max_ack_pending=_SETTINGS.max_ack_pending,
        )
        await self._bus.js.add_consumer(_STREAM, written, timeout=_REQUEST_TIMEOUT)

    async def _read(self, name: str) -> ConsumerInfo | None:
        try:
            info: ConsumerInfo = await self._bus.js.consumer_info(_STREAM, name, timeout=_REQUEST_TIMEOUT)
            return info
        except NotFoundError:
            return None


def subjects_of(config: ConsumerConfig) -> frozenset[str]:
    """The subjects in a filter; empty if the consumer receives all."""
    return frozenset(config.filter_subjects or ([config.filter_subject] if config.filter_subject else ()))


def _has_settings(config: ConsumerConfig) -> bool:
    return (config.ack_wait, config.max_deliver, config.max_ack_pending) == (
        _SETTINGS.ack_wait,
        _SETTINGS.max_deliver,
        _SETTINGS.max_ack_pending,
    )
