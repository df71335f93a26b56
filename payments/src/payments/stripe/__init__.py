"""Everything that talks to Stripe."""
