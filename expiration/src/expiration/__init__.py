"""The market's clock: follows the orders, and tells when one has expired."""
