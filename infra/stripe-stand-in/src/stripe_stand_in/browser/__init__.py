"""What a buyer's browser loads in place of Stripe.js."""
