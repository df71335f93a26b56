"""The payments service behind real HTTP, with a stand-in for Stripe."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
import stripe

from payments.config import Settings
from payments.main import create
from payments.payment.repository import Payments
from payments.stripe.client import StripeApi as PaymentsStripeApi
from stripe_stand_in.testing import StripeApi
from ticketing_common.messaging.arrivals import Arrivals
from ticketing_common.storage.outbox import Outbox
from ticketing_common.testing import JWT_KEY, serve_app, wait_until
from ticketing_common.testing.events import is_listening

WEBHOOK_SECRETS = "whsec_old, whsec_new"


@pytest.fixture
def settings(mongo_uri: str, nats_url: str, stripe_api: StripeApi) -> Settings:
    return Settings(
        mongo_uri=mongo_uri,
        nats_url=nats_url,
        jwt_key=JWT_KEY,
        log_format="console",
        stripe_key=stripe_api.key,
        stripe_webhook_secret=WEBHOOK_SECRETS,
        stripe_publishable_key="pk_test_1",
        stripe_api_base=stripe_api.url,
    )


@pytest_asyncio.fixture
async def client(settings: Settings, bus: Any, database: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with serve_app(create(settings)) as http:
        await wait_until(lambda: is_listening(bus, "payments"))  # until then an unknown order is 503, not 404
        yield http


@pytest_asyncio.fixture
async def payments(database: Any, bus: Any) -> Payments:
    repository = Payments(database, Outbox(), Arrivals(bus))
    await repository.ensure_indexes()
    return repository


@pytest_asyncio.fixture(name="stripe")
async def _stripe(stripe_api: StripeApi) -> AsyncIterator[PaymentsStripeApi]:
    """The service's own client of Stripe."""
    client = PaymentsStripeApi(stripe_api.key, stripe_api.url)
    yield client
    await client.close()


@pytest.fixture
def stripe_client(stripe_api: StripeApi) -> stripe.StripeClient:
    return stripe.StripeClient(
        stripe_api.key, base_addresses={"api": stripe_api.url}, http_client=stripe.HTTPXClient()
    )


@pytest.fixture
def intents(stripe_client: stripe.StripeClient) -> Any:
    """The PaymentIntents, by the stripe package."""
    return stripe_client.v1.payment_intents


@pytest.fixture
def _mended(stripe_api: StripeApi) -> Iterator[None]:
    """Ends the faults that a test has added to the stand-in."""
    yield
    stripe_api.clear_faults()
