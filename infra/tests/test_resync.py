"""The resync command of a service repairs consumers that lost its events."""

from datetime import timedelta

import pytest

from expiration.models import create_entry, resolve
from orders.handlers import HANDLERS as ORDERS
from orders.models import Refund, cancel_by_buyer, complete, refund
from orders.models import Ticket as Copy
from orders.repository import Orders
from orders.use_cases import claim_ticket
from payments.handlers import HANDLERS as PAYMENTS
from payments.payment.models import Payment
from payments.payment.repository import Payments
from ticketing_common.messaging.arrivals import Arrivals
from ticketing_common.messaging.bus import Bus
from ticketing_common.storage.outbox import Outbox
from ticketing_common.values.clock import now
from ticketing_common.values.events import OrderCancelled, OrderCompleted, OrderCreated, OrderRefunded
from ticketing_common.values.ids import new_id
from ticketing_operations.resync import expiration as expiration_resync
from ticketing_operations.resync import orders as orders_resync
from ticketing_operations.resync import payments as payments_resync
from ticketing_operations.resync import tickets as tickets_resync
from tickets.handlers import HANDLERS as TICKETS
from tickets.models import Ticket, edit
from tickets.repository import Tickets


@pytest.fixture
def arrivals():
    return Arrivals(Bus("", "test"))


@pytest.fixture
async def orders(database, arrivals):
    repository = Orders(database, Outbox(), arrivals)
    await repository.ensure_indexes()
    return repository


async def place_order(orders, window=timedelta(minutes=15)):
    ticket = Copy(id=new_id(), title="Opera", price_cents=1000)
    return await claim_ticket(orders, ticket, "buyer", window)


async def handle(handlers, repository, events):
    for event in events:
        if type(event) in handlers:
            await handlers[type(event)](event, repository)


@pytest.mark.parametrize(
    ("decisions", "kinds"),
    [
        ([], [OrderCreated]),
        ([cancel_by_buyer], [OrderCreated, OrderCancelled]),
        ([complete], [OrderCreated, OrderCompleted]),
        ([complete, refund], [OrderCreated, OrderCompleted, OrderRefunded]),
    ],
    ids=["created", "cancelled", "complete", "refunded"],
)
async def test_resync_publishes_the_same_events_of_an_order_again(orders, database, decisions, kinds):
    order = await place_order(orders)
    for decide in decisions:
        order = await orders.change(order.id, decide)
    events = orders_resync.events_of(order)
    assert [type(event) for event in events] == kinds
    assert [event.model_dump()["version"] for event in events] == list(range(len(kinds)))
    document = await database["orders"].find_one({"_id": order.id})
    outbox = [entry["data"] for entry in document["outbox"]]
    assert [event.model_dump_json(by_alias=True).encode() for event in events] == outbox


async def test_consumers_that_lost_the_events_of_an_order_agree_with_it_after_a_resync(
    orders, arrivals, database
):
    order = await orders.change((await place_order(orders)).id, cancel_by_buyer)
    payments, tickets = Payments(database, Outbox(), arrivals), Tickets(database, Outbox())
    await payments.ensure_indexes()
    await tickets.add(Ticket(id=order.ticket.id, title="Opera", price_cents=1000, user_id="seller"))
    for _ in range(2):  # idempotent
        await handle(PAYMENTS, payments, orders_resync.events_of(order))
        await handle(TICKETS, tickets, orders_resync.events_of(order))
    assert (await payments.get_by_order(order.id)).order_status == "cancelled"
    ticket = await tickets.get(order.ticket.id)
    assert (ticket.order_id, ticket.order_n) == (None, 1)


async def test_resync_of_a_ticket_migrates_orders_placed_before_sellers_were_kept(orders, database):
    order = await orders.change((await place_order(orders)).id, complete)
    ticket = Ticket(id=order.ticket.id, title="Opera", price_cents=1000, user_id="seller", version=1)
    await database["tickets"].insert_one(
        {"_id": ticket.id, "version": 1, "title": "Opera", "price_cents": 1000}
    )
    await handle(ORDERS, orders, tickets_resync.SOURCE.events_of(ticket))
    assert (await orders.get(order.id)).seller_id == "seller"
    assert [sale.id for sale in await orders.page_sales("seller", "complete", 10, None)] == [order.id]


async def test_ticket_whose_last_event_was_lost_is_corrected_by_a_resync(orders):
    ticket = Ticket(id=new_id(), title="Opera", price_cents=1000, user_id="seller")
    await handle(ORDERS, orders, tickets_resync.SOURCE.events_of(ticket))
    ticket = edit(ticket, "seller", "Ballet", 5000).evolve(version=1)
    await handle(ORDERS, orders, tickets_resync.SOURCE.events_of(ticket))
    copy = await orders.get_ticket(ticket.id)
    assert (copy.title, copy.price_cents, copy.version) == ("Ballet", 5000, 1)


def make_payment(order_id="", **fields):
    return Payment(
        id=new_id(),
        version=7,
        order_id=order_id or new_id(),
        user_id="buyer",
        amount_cents=1000,
        expires_at=now(),
        stripe_id="pi_1",
        **fields,
    )


async def test_payment_whose_event_was_lost_completes_its_order_after_a_resync(orders):
    order = await place_order(orders)
    paid = make_payment(order_id=order.id, status="authorised")
    await handle(ORDERS, orders, payments_resync.events_of(paid) * 2)
    assert (await orders.get(order.id)).status == "complete"


async def test_refund_whose_event_was_lost_is_shown_after_a_resync(orders):
    refunded = make_payment(order_status="refunded", status="refunded")
    await handle(ORDERS, orders, payments_resync.events_of(refunded))
    known = await orders.find_refund(refunded.order_id)
    assert known == Refund(id=refunded.order_id, payment_version=7, status="done", version=known.version)


async def test_resync_publishes_nothing_about_unpaid_and_captured_payments():
    assert payments_resync.events_of(make_payment()) == []
    assert payments_resync.events_of(make_payment(order_status="complete", status="captured")) == []


async def test_order_whose_expiry_was_lost_expires_after_a_resync(orders, database):
    order = await place_order(orders, window=timedelta(0))
    entry = resolve(create_entry(order.id, now() - timedelta(minutes=1)), now())
    await handle(ORDERS, orders, expiration_resync.events_of(entry))
    order = await orders.get(order.id)
    assert (order.status, order.reason) == ("cancelled", "expired")


async def test_resync_publishes_no_expiry_early_or_for_a_completed_order():
    assert expiration_resync.events_of(create_entry(new_id(), now() + timedelta(minutes=1))) == []
    decided = resolve(create_entry(new_id(), now() - timedelta(minutes=1)), now()).evolve(version=1)
    assert expiration_resync.events_of(decided) == []
