"""The events that the payments service consumes, each with its handler."""

from payments.payment import handlers as payment
from payments.refund import handlers as refund
from ticketing_common.messaging.listener import Handlers

HANDLERS: Handlers = {**payment.HANDLERS, **refund.HANDLERS}
