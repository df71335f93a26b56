"""A small stateful stand-in for the part of Stripe's API that the ticket marketplace uses."""
