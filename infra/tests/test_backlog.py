"""A backlog in the outbox, as after an outage of NATS, is published in order and without loss."""

from datetime import timedelta

from orders.models import Order, TicketAsOrdered, cancel_by_buyer, event_of
from orders.repository import Orders
from payments.handlers import HANDLERS
from payments.payment.repository import Payments
from ticketing_common.messaging.arrivals import Arrivals
from ticketing_common.messaging.bus import STREAM, open_bus
from ticketing_common.messaging.dead_letters import DeadLetters
from ticketing_common.messaging.listener import Listener
from ticketing_common.messaging.relay import Relay
from ticketing_common.storage.outbox import Outbox, outbox_entry
from ticketing_common.testing import wait_until
from ticketing_common.testing.jobs import running_job
from ticketing_common.values.clock import now
from ticketing_common.values.events import OrderCancelled, OrderCreated
from ticketing_common.values.ids import new_id

UNPUBLISHED, CANCELLED = 400, 20


def unpublished_order(age):
    """An order and its outbox, with an event that is this old."""
    ticket = TicketAsOrdered(new_id(), "Opera", 500, 1)
    order = Order(id=new_id(), user_id="buyer", ticket=ticket, expires_at=now() + timedelta(minutes=15))
    return order, [outbox_entry(event_of(order)) | {"at": now() - age}]


async def find_sequence(bus, kind, order_id):
    """The position in the stream of the order's event of this kind."""
    sequence = 1
    while True:
        message = await bus.js.get_msg(STREAM.name, sequence, subject=kind.subject, next=True)
        if order_id.encode() in message.data:
            return message.seq
        sequence = message.seq + 1


async def test_consumers_cancel_orders_that_are_cancelled_during_a_backlog(database, bus, nats_url):
    async with open_bus(nats_url, "orders") as orders_bus, open_bus(nats_url, "payments") as payments_bus:
        relay = Relay(Outbox(), orders_bus)
        orders = Orders(database, relay.outbox, Arrivals(orders_bus))
        payments = Payments(database, Outbox(), Arrivals(payments_bus))
        await orders.ensure_indexes()
        await payments.ensure_indexes()
        documents = []
        for n in range(UNPUBLISHED):
            order, entries = unpublished_order(timedelta(minutes=30) - timedelta(milliseconds=n))
            documents.append(orders._orders._dump(order) | {"outbox": entries})
        await database["orders"].insert_many(documents)
        cancelled = [document["_id"] for document in documents[-CANCELLED:]]
        listener = Listener(payments_bus, "payments", HANDLERS, payments, DeadLetters(database))
        async with running_job(relay.run), running_job(listener.run):
            for order_id in cancelled:
                await orders.change(order_id, cancel_by_buyer)

            async def all_are_handled():
                return await database["payments"].count_documents({}) == UNPUBLISHED and not (
                    await database["payments"].count_documents(
                        {"order_id": {"$in": cancelled}, "order_status": {"$ne": "cancelled"}}
                    )
                )

            await wait_until(all_are_handled, 90)
        assert await DeadLetters(database).count() == 0
        assert await database["payments"].count_documents({"order_status": "cancelled"}) == CANCELLED
        created = await find_sequence(bus, OrderCreated, cancelled[0])
        assert created < await find_sequence(bus, OrderCancelled, cancelled[0])
