"""The command that removes subjects from the filter of a consumer."""

import pytest

from ticketing_common.messaging.bus import STREAM
from ticketing_common.messaging.consumer import Consumer, subjects_of
from ticketing_operations import unsubscribe

BOTH = {"payment.failed", "payment.refunded"}


async def consumed_subjects(bus):
    return subjects_of((await bus.js.consumer_info(str(STREAM.name), "orders")).config)


async def run(monkeypatch, nats_url, *arguments):
    monkeypatch.setenv("NATS_URL", nats_url)
    return await unsubscribe.main(arguments)


async def test_subject_is_removed_from_the_filter(bus, nats_url, monkeypatch):
    await Consumer(bus, "orders", BOTH).ensure()
    assert await run(monkeypatch, nats_url, "orders", "payment.refunded") == 0
    assert await consumed_subjects(bus) == {"payment.failed"}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["orders", "order.created"], "orders does not consume order.created"),
        (["orders", *sorted(BOTH)], "orders would consume no subject at all"),
        (["nobody", "order.created"], "there is no consumer nobody"),
    ],
)
async def test_impossible_removal_changes_nothing_and_prints_the_reason(
    bus, nats_url, monkeypatch, capsys, arguments, reason
):
    await Consumer(bus, "orders", BOTH).ensure()
    assert await run(monkeypatch, nats_url, *arguments) == 1
    assert reason in capsys.readouterr().err
    assert await consumed_subjects(bus) == BOTH
