"""What browsers load in place of Stripe.js."""
