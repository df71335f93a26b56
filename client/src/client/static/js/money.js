// Formats amounts in the same way as format_money in views.py.

const dollars = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });

export const money = (amount) => dollars.format(amount);
