"""Owns what every test here drives the server with: the real stripe package, and raw HTTP."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from stripe import PaymentIntent, StripeClient

from stripe_stand_in.testing import StripeApi


def client_of(api: StripeApi) -> StripeClient:
    return StripeClient(api.key, base_addresses={"api": api.url}, max_network_retries=0)


@pytest.fixture(name="client_of")
def _client_of() -> Callable[[StripeApi], StripeClient]:
    return client_of


@pytest.fixture
def client(stripe_api: StripeApi) -> StripeClient:
    return client_of(stripe_api)


@pytest.fixture
def http(stripe_api: StripeApi) -> Iterator[httpx.Client]:
    """For what the stripe package would never send, and for the headers that it hides."""
    headers = {"Authorization": f"Bearer {stripe_api.key}"}
    with httpx.Client(base_url=stripe_api.url, headers=headers) as client:
        yield client


@pytest.fixture
def create(client: StripeClient) -> Callable[..., PaymentIntent]:
    """An intent of 19.99 dollars for a card, as the payments service would make it, but for what is given."""

    def create(**params: Any) -> PaymentIntent:
        usual = {
            "amount": 1999,
            "currency": "usd",
            "payment_method_types": ["card"],
            "capture_method": "manual",
        }
        return client.v1.payment_intents.create({**usual, **params})  # type: ignore[arg-type]

    return create
