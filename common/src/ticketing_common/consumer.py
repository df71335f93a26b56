"""The durable pull consumer of a service, shared by all its replicas and by versions that run side by side.

Every version adds its subjects to the consumer's filter, and none removes one: a replica of an older version
must not cut off the events of a newer one. Subjects are removed by `python -m ticketing_common.unfollow`.
"""

import contextlib
from collections.abc import Iterable
from dataclasses import replace

from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo, DeliverPolicy
from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError

from ticketing_common.jetstream import STREAM, Bus, ConsumerExists
from ticketing_common.logs import get_logger
from ticketing_common.metrics import FILTERS_RESTORED

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
    """Creates the consumer, keeps our subjects in its filter, and finds the events that were passed over."""

    def __init__(self, bus: Bus, service: str, subjects: Iterable[str]) -> None:
        self._bus = bus
        self._service = service
        self._missed = f"{service}-missed"
        self._subjects = frozenset(subjects)
        self._followed: frozenset[str] = frozenset()
        self._complete_until: int | None = None
        """The server has delivered every event of our subjects up to this sequence number."""
        self._overlap: int | None = None
        """From this sequence number on the server delivers all of them again, after they were passed over."""

    async def ensure(self) -> ConsumerInfo:
        """Create the consumer, or add our subjects to its filter. Raises one of DOWN."""
        while True:
            info = await self._read(self._service)
            if info is None:
                await self._create(self._service, replace(_SETTINGS, filter_subjects=sorted(self._subjects)))
                continue
            self._followed = subjects_of(info.config)
            missing = self._subjects - self._followed if self._followed else frozenset()
            if missing:
                await self._add(missing, info.config)
            elif not _has_settings(info.config):
                await self._write(info.config, self._followed)
            else:
                self._complete_until = _delivered(info)
                return info

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

    async def subscribe_missed(self) -> JetStreamContext.PullSubscription | None:
        """The events passed over while the filter lacked our subjects, or None. Raises one of DOWN."""
        if await self._read(self._missed) is None:
            return None
        return await self._bus.js.pull_subscribe_bind(durable=self._missed, stream=_STREAM)

    async def delete_missed(self) -> bool:
        """Delete their consumer once it overlaps with the service's own. Raises one of DOWN."""
        missed = await self._read(self._missed)
        if missed is None:
            self._overlap = None
            return True
        if self._overlap is None:
            self._overlap = _delivered(await self.ensure())
        acknowledged = missed.ack_floor.stream_seq if missed.ack_floor else 0
        if acknowledged < self._overlap and (missed.num_pending or missed.num_ack_pending):
            return False
        with contextlib.suppress(NotFoundError):  # another replica was faster
            await self._bus.js.delete_consumer(_STREAM, self._missed)
        self._overlap = None
        return True

    async def _add(self, missing: frozenset[str], config: ConsumerConfig) -> None:
        if self._complete_until is None:
            log.info("adding subjects to the consumer's filter", subjects=sorted(missing))
        else:
            # A version older than this module wrote its own filter. The server passes over what does not
            # match and never looks back, so these events are consumed apart. Their consumer is created before
            # the filter is restored, so that another replica continues if this process ends in between.
            log.warning("the consumer's filter was narrowed, restoring it", subjects=sorted(missing))
            FILTERS_RESTORED.inc()
            passed_over = replace(
                _SETTINGS,
                filter_subjects=sorted(missing),
                deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=self._complete_until + 1,
            )
            await self._create(self._missed, passed_over)
        await self._write(config, self._followed | missing)

    async def _create(self, name: str, config: ConsumerConfig) -> None:
        with contextlib.suppress(ConsumerExists):  # another replica was faster
            await self._bus.create_consumer(replace(config, durable_name=name))

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


def _delivered(info: ConsumerInfo) -> int:
    return int(info.delivered.stream_seq) if info.delivered else 0


def _has_settings(config: ConsumerConfig) -> bool:
    return (config.ack_wait, config.max_deliver, config.max_ack_pending) == (
        _SETTINGS.ack_wait,
        _SETTINGS.max_deliver,
        _SETTINGS.max_ack_pending,
    )
