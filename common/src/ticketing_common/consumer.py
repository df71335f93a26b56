"""The durable pull consumer of a service, shared by all its replicas and by versions that run side by side.

Every version adds its subjects to the consumer's filter, and none removes one: a replica of an older version
must not cut off the events of a newer one. Subjects are removed by `python -m ticketing_common.unfollow`.
"""

import contextlib
from collections.abc import Iterable
from dataclasses import replace

from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo
from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError

from ticketing_common.jetstream import STREAM, Bus, ConsumerExists
from ticketing_common.logs import get_logger

_STREAM = str(STREAM.name)
_ANSWERS_WITHIN = 2.0
"""Seconds."""
_ACK_WAIT = 2.0
"""Seconds until a message that a killed process had in hand is redelivered. The listener extends it."""
_SETTINGS = ConsumerConfig(
    ack_policy=AckPolicy.EXPLICIT,
    ack_wait=_ACK_WAIT,
    max_deliver=-1,  # the listener counts the failures, so that no message is dropped silently
    # Unlimited, because messages that are put back count: with a limit, messages of a subject that no running
    # version follows would block all others. The server keeps about 100 bytes of memory for each, and writes
    # all of them whenever it stores the consumer's state.
    max_ack_pending=-1,
)

log = get_logger(__name__)


class Consumer:
    """Creates the consumer, and keeps our subjects in its filter."""

    def __init__(self, bus: Bus, service: str, subjects: Iterable[str]) -> None:
        self._bus = bus
        self._service = service
        self._subjects = frozenset(subjects)
        self._followed: frozenset[str] = frozenset()

    async def ensure(self) -> ConsumerInfo:
        """Create the consumer, or add our subjects to its filter. Raises one of DOWN."""
        while True:
            info = await self._read(self._service)
            if info is None:
                with contextlib.suppress(ConsumerExists):  # another replica was faster
                    await self._bus.create_consumer(
                        replace(_SETTINGS, durable_name=self._service, filter_subjects=sorted(self._subjects))
                    )
                continue
            self._followed = subjects_of(info.config)
            missing = self._subjects - self._followed if self._followed else frozenset()
            if not missing and _has_settings(info.config):
                return info
            log.info("updating the consumer", added=sorted(missing))
            await self._write(info.config, self._followed | missing)

    async def is_removed(self, subject: str) -> bool:
        """Whether the subject was removed from the filter. Raises one of DOWN.

        The server is asked whenever the answer could be yes: another version may just have added the subject.
        """
        if not self._followed or subject in self._followed:
            return False
        info = await self._read(self._service)
        return info is not None and subject not in subjects_of(info.config)

    async def remove(self, subjects: Iterable[str]) -> frozenset[str]:
        """Remove subjects from the filter. Returns those that are left. Raises ValueError and one of DOWN."""
        info = await self._read(self._service)
        if info is None:
            raise ValueError(f"there is no consumer {self._service}")
        followed = subjects_of(info.config)
        if unknown := frozenset(subjects) - followed:
            raise ValueError(f"{self._service} does not follow {', '.join(sorted(unknown))}")
        left = followed - frozenset(subjects)
        if not left:
            raise ValueError(f"nothing would be left for {self._service} to follow")
        await self._write(info.config, left)
        return left

    async def subscribe(self) -> JetStreamContext.PullSubscription:
        """Raises one of DOWN."""
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
        await self._bus.js.add_consumer(_STREAM, written, timeout=_ANSWERS_WITHIN)

    async def _read(self, name: str) -> ConsumerInfo | None:
        try:
            info: ConsumerInfo = await self._bus.js.consumer_info(_STREAM, name, timeout=_ANSWERS_WITHIN)
            return info
        except NotFoundError:
            return None


def subjects_of(config: ConsumerConfig) -> frozenset[str]:
    """The subjects in a filter; empty for a consumer that follows all."""
    return frozenset(config.filter_subjects or ([config.filter_subject] if config.filter_subject else ()))


def _has_settings(config: ConsumerConfig) -> bool:
    return (config.ack_wait, config.max_deliver, config.max_ack_pending) == (
        _SETTINGS.ack_wait,
        _SETTINGS.max_deliver,
        _SETTINGS.max_ack_pending,
    )
