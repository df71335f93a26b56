"""The response to Stripe's events."""

from ticketing_common.values.wire import WireModel


class Received(WireModel):
    pass
