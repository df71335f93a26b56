"""Compares Stripe's PaymentIntents of a period with our payments and orders.

    MONGO_URI=... STRIPE_KEY=... python -m payments.reconciliation [--since 2026-11-01] [--until 2026-11-02]

Prints one disagreement per line. Exit status: 0 none, 1 some, 2 Stripe or MongoDB did not answer. Skips
payments that are being settled, unless they have been due for 10 minutes. Reads every disagreement a second
time before printing it. Set MONGO_URI_ORDERS to compare with the orders service's own records, too.
"""

import argparse
import asyncio
import sys
from datetime import UTC, datetime, timedelta

from payments.config import ReconciliationSettings
from payments.payment.repository import Payments
from payments.reconciliation.repository import Sales
from payments.reconciliation.use_cases import reconcile
from payments.stripe.client import StripeApi, StripeUnavailable
from ticketing_common.config import load_settings
from ticketing_common.messaging.arrivals import Arrivals
from ticketing_common.messaging.bus import Bus
from ticketing_common.observability.logs import configure_logs
from ticketing_common.storage.mongo import MONGO_UNAVAILABLE, connect
from ticketing_common.storage.outbox import Outbox
from ticketing_common.values.clock import now


async def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m payments.reconciliation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    day_ago = now() - timedelta(days=1)
    parser.add_argument("--since", type=_time, default=day_ago, help="ISO 8601, UTC; default: a day ago")
    parser.add_argument("--until", type=_time, default=None, help="ISO 8601, UTC; default: now")
    arguments = parser.parse_args()
    try:
        settings = load_settings(ReconciliationSettings, "payments.reconciliation")
    except SystemExit:
        return 2
    configure_logs("error", "console", "payments.reconciliation")
    stripe = StripeApi(settings.stripe_key, settings.stripe_api_base)
    no_bus = Bus("", "payments.reconciliation")
    payments = Payments(connect(settings.mongo_uri), Outbox(), Arrivals(no_bus))
    orders = connect(settings.mongo_uri_orders) if settings.mongo_uri_orders else None
    try:
        until = arguments.until or now() + timedelta(seconds=1)
        return 1 if await reconcile(Sales(payments, stripe, orders), arguments.since, until) else 0
    except (StripeUnavailable, *MONGO_UNAVAILABLE) as error:
        print(f"It could not look: {error}. Try again when Stripe and MongoDB answer.", file=sys.stderr)
        return 2
    finally:
        await stripe.close()


def _time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
