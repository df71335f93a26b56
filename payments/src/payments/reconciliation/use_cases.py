"""Reconciling a period."""

import asyncio
from datetime import datetime

from payments.reconciliation.models import Sale, compare_sale
from payments.reconciliation.repository import Sales
from ticketing_common.values.clock import now

_SECOND_COMPARISON_AFTER = 2.0
"""Seconds."""


async def reconcile(sales: Sales, since: datetime, until: datetime) -> int:
    """Print the disagreements about the period's sales, then a summary. Returns the number of disagreements.

    A sale may change while it is read, so a disagreement counts only if a second reading finds it again.
    """
    compared = disagreements = 0
    async for page in sales.pages(since, until):
        compared += len(page)
        if suspects := [sale for sale in page if compare_sale(sale, now())]:
            await asyncio.sleep(_SECOND_COMPARISON_AFTER)
            for suspect in suspects:
                sale = await sales.reread(suspect)
                for disagreement in compare_sale(sale, now()):
                    disagreements += 1
                    print(f"{_describe(sale)}: {disagreement}", flush=True)
    period = f"{since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC"
    print(f"{compared} sales from {period}, {disagreements} disagreements")
    return disagreements


def _describe(sale: Sale) -> str:
    payment_id = sale.payment.id if sale.payment else None
    intent_id = sale.intent.id if sale.intent else None
    return f"order {sale.order_id} payment {payment_id} intent {intent_id}"
