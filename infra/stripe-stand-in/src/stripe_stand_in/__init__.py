"""A small stateful server that speaks the part of Stripe's API that the ticket marketplace uses."""
