// Amounts, as views.py shows them.

const dollars = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });

export const money = (amount) => dollars.format(amount);
