"""The payments service: authorises when the buyer pays, captures once the order is complete."""
