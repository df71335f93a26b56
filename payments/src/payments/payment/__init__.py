"""The payment of one order: its state machine, and how a buyer pays."""
