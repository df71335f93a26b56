"""The sizes of the stream, of NATS's store and of its volume, as docs/scaling.md computes them."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from cluster import OVERLAYS, environment, named, workload

from ticketing_common.messaging.bus import STREAM, Bus
from ticketing_common.storage.outbox import outbox_entry
from ticketing_common.values.clock import now
from ticketing_common.values.events import (
    Event,
    ExpirationComplete,
    OrderCancelled,
    OrderCompleted,
    OrderCreated,
    OrderedTicket,
    OrderRefunded,
    PaymentCreated,
    PaymentRefunded,
    PricedTicket,
    TicketCreated,
    TicketUpdated,
)
from ticketing_common.values.ids import new_id
from ticketing_deploy.images import ROOT

PURCHASES_A_SECOND = 10
BYTES_A_PURCHASE = 5_000
FIRST_ALERT = 0.6
RETENTION_SECONDS = STREAM.max_age or 0
RAFT_BYTES = 2e9
"""Space in the server's store for Raft: logs and snapshots of the cluster and its consumers."""

UNITS = {"": 1, "G": 10**9, "GB": 2**30, "Gi": 2**30, "Ti": 2**40}

every_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


def in_bytes(text: str) -> int:
    found = re.fullmatch(r"(\d+)(\w*)", text)
    assert found, text
    number, unit = found.groups()
    return int(number) * UNITS[unit]


def max_bytes(overlay: str, service: str = "orders") -> int:
    return in_bytes(environment(overlay, workload(overlay, service))["NATS_MAX_BYTES"])


def max_file_store(overlay: str) -> int:
    (volume,) = (v for v in workload(overlay, "nats").pod["volumes"] if "configMap" in v)
    configuration = named(overlay, "ConfigMap", volume["configMap"]["name"])["data"]["nats.conf"]
    (size,) = re.findall(r"^ *max_file_store: (\w+)", configuration, re.MULTILINE)
    return in_bytes(size)


def volume_size(overlay: str) -> int:
    (claim,) = workload(overlay, "nats").spec["volumeClaimTemplates"]
    return in_bytes(claim["spec"]["resources"]["requests"]["storage"])


def events_of_a_purchase() -> list[Event]:
    """A listing with a title of 60 characters, an edit, an expired order, and a paid order."""
    ticket, seller, buyer = new_id(), new_id(), new_id()
    versions = iter(range(100))

    def updated(order_id: str | None) -> TicketUpdated:
        return TicketUpdated(**listing, version=next(versions), order_id=order_id)

    def created(n: int) -> OrderCreated:
        return OrderCreated(
            id=new_id(),
            version=0,
            status="created",
            user_id=buyer,
            expires_at=now() + timedelta(minutes=15),
            ticket=PricedTicket(id=ticket, n=n, price=Decimal("120.50")),
        )

    listing = {"id": ticket, "title": "x" * 60, "price": Decimal("120.50"), "user_id": seller}
    expired, paid, payment = created(1), created(2), new_id()
    first, second = (OrderedTicket(id=ticket, n=n) for n in (1, 2))
    return [
        TicketCreated(**listing, version=next(versions)),
        updated(None),
        expired,
        updated(expired.id),
        ExpirationComplete(order_id=expired.id),
        OrderCancelled(id=expired.id, version=1, reason="expired", ticket=first),
        updated(None),
        paid,
        updated(paid.id),
        PaymentCreated(id=payment, order_id=paid.id, stripe_id="pi_" + "x" * 24),
        OrderCompleted(id=paid.id, version=1, user_id=buyer, ticket=second),
    ]


def events_of_a_refund() -> list[Event]:
    ticket, order, user = new_id(), new_id(), new_id()
    return [
        OrderRefunded(id=order, version=2, user_id=user, ticket=OrderedTicket(id=ticket, n=2)),
        PaymentRefunded(id=new_id(), version=5, order_id=order),
        TicketUpdated(id=ticket, version=6, title="x" * 60, price=Decimal("120.50"), user_id=user),
    ]


async def stored_bytes(bus: Bus, events: list[Event]) -> int:
    before = (await bus.stream_info()).state.bytes
    for event in events:  # like the relay
        pending = outbox_entry(event)
        await bus.publish_raw(
            pending["subject"], pending["data"], pending["id"], pending["trace"], pending["at"]
        )
    return (await bus.stream_info()).state.bytes - before


async def test_a_purchase_fits_the_documented_number_of_bytes(bus):
    purchase = await stored_bytes(bus, events_of_a_purchase())
    refund = await stored_bytes(bus, events_of_a_refund())
    assert BYTES_A_PURCHASE * 0.7 < purchase + refund / 10 < BYTES_A_PURCHASE


@every_overlay
def test_purchases_of_the_retention_time_stay_below_the_first_alert(overlay):
    retained = PURCHASES_A_SECOND * RETENTION_SECONDS * BYTES_A_PURCHASE
    assert retained < FIRST_ALERT * max_bytes(overlay)


@every_overlay
def test_limits_of_stream_server_and_volume_are_reached_in_that_order(overlay):
    assert max_bytes(overlay) + RAFT_BYTES <= max_file_store(overlay)
    # The alerts for the volume, at 80 % and 95 %, fire after those for the stream.
    assert max_bytes(overlay) < 0.8 * volume_size(overlay)
    assert max_file_store(overlay) < 0.9 * volume_size(overlay)


@every_overlay
def test_every_service_configures_the_same_stream_limit(overlay):
    consumers = ("tickets", "orders", "payments", "expiration", "expiration-worker")
    assert len({max_bytes(overlay, service) for service in consumers}) == 1


def test_documented_figures_are_current():
    (section,) = re.findall(
        r"^## How big the stream gets\n(.+?)^## ",
        (ROOT / "docs" / "scaling.md").read_text(),
        re.MULTILINE | re.DOTALL,
    )
    seconds = int(RETENTION_SECONDS)
    whole = PURCHASES_A_SECOND * seconds * BYTES_A_PURCHASE
    for figure in (
        f"{PURCHASES_A_SECOND} x {seconds:,} s x {BYTES_A_PURCHASE:,} bytes | {whole / 1e9:.1f} GB",
        f"are {whole / max_bytes('prod'):.0%}".replace("%", " %"),
        f"| {max_bytes('prod') / 1e9:.0f} GB |",
        f"| {max_file_store('prod') / 1e9:.0f} GB |",
        f"| {volume_size('prod') / 2**30:.0f} GiB, {volume_size('prod') / 1e9:.1f} GB |",
    ):
        assert figure in section


def test_backup_guide_names_the_retention_time_of_the_stream():
    days = timedelta(seconds=RETENTION_SECONDS).days
    guide = " ".join((ROOT / "docs" / "backups.md").read_text().split())
    assert f"the events of {days} days" in guide
    assert f"One older than {days} days" in guide
