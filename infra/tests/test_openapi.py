"""Every response to any request matches the service's OpenAPI schema; none is a 500."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from itertools import product
from typing import Any

import pytest
import pytest_asyncio
import requests
import schemathesis
from api_calls import buy_ticket, list_ticket, place_order, post_refund
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nightly_cases import nightly
from schemathesis import Case, GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.core.result import Ok
from stack_under_test import StackUnderTest

pytestmark = pytest.mark.asyncio(loop_scope="package")

ENDLESS = "/api/tickets/events"
"""Server-sent events."""
SIGNED_BY_STRIPE = "POST /api/payments/webhook"
"""Rejects all requests of this test."""

# Not QUERY: for methods without a route the ingress responds without an Allow header.
METHODS = ["get", "put", "post", "delete", "options", "patch", "trace"]


@dataclass
class KnownValues:
    """Sessions and ids that exist, so that requests do not only get 401 and 404."""

    sessions: list[str | None]
    """None is a request without a session."""
    values: dict[str, list[str]]
    """By the name of a path parameter or a field of the body."""
    statuses: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    """The statuses of the responses, by operation."""

    def fill(self, case: Case[Any], index: int) -> None:
        """Replaces generated ids by existing ones. A case that is invalid for another reason stays so."""
        for name in self.values.keys() & case.path_parameters.keys():
            case.path_parameters[name] = self._choose(name, index)
        if case.operation.label == "POST /api/users/signup":
            return  # requires an unused email
        if is_valid(case) and isinstance(case.body, dict):
            for name in self.values.keys() & case.body.keys():
                case.body[name] = self._choose(name, index)

    def record(self, case: Case[Any], response: Any) -> None:
        self.statuses[case.operation.label].add(response.status_code)
        if response.status_code == 201 and case.operation.label == "POST /api/orders":
            self.values["order_id"].append(response.json()["id"])

    def _choose(self, name: str, index: int) -> str:
        return self.values[name][index % len(self.values[name])]


@pytest_asyncio.fixture(loop_scope="package")
async def known(long_window_stack: StackUnderTest) -> KnownValues:
    """A seller, a buyer, and orders of every status."""
    seller, buyer = await long_window_stack.sign_up(), await long_window_stack.sign_up()
    tickets = [await list_ticket(seller) for _ in range(10)]
    refunded, complete = [await buy_ticket(buyer, ticket) for ticket in tickets[-2:]]
    assert (await post_refund(seller, refunded)).status_code == 200
    unpaid = [(await place_order(buyer, ticket))["id"] for ticket in tickets[-6:-2]]
    # Every operation is called for the first three orders.
    orders = [refunded, unpaid[0], complete, *unpaid[1:]]
    user = (await buyer.get("/api/users/currentuser")).json()["currentUser"]
    return KnownValues(
        sessions=[None, seller.cookies["session"], buyer.cookies["session"]],
        values={
            "ticket_id": tickets,
            "ticketId": tickets,
            "order_id": orders,
            "orderId": orders,
            "token": ["tok_threeDSecureRequired", "tok_visa", "tok_chargeDeclined"],
            "email": [user["email"]],
            "password": ["correct horse"],
        },
    )


@pytest.mark.parametrize("examples", [8, *nightly(40)])
@pytest.mark.parametrize("service", ["users", "tickets", "orders", "payments"])
async def test_every_response_matches_the_schema(long_window_stack, known, service, examples):
    base_url = long_window_stack.base_url
    config = SchemathesisConfig.from_dict(
        {
            "base-url": base_url,
            # A valid request may get 400 for a reason that no schema expresses: see check_reasons_of_400.
            "checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", 400, 401, 404, 429]}},
            "phases": {"coverage": {"unexpected-methods": METHODS}},
        }
    )
    # In a thread, because the event loop reads the output of the stack's processes.
    url = f"{base_url}/api/{service}/openapi.json"
    await asyncio.to_thread(send_generated_requests, url, config, known, examples)


def send_generated_requests(
    url: str, config: SchemathesisConfig, known: KnownValues, max_examples: int
) -> None:
    schema = schemathesis.openapi.from_url(url, config=config)
    session = requests.Session()
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # each request has its own cookie

    def send(case: Case[Any], user_session: str | None) -> None:
        headers = {"Cookie": f"session={user_session}"} if user_session else {}
        response = case.call(session=session, headers=headers, timeout=20)
        known.record(case, response)
        case.validate_response(
            response, headers=headers, additional_checks=[check_reasons_of_400, check_request_id]
        )

    for result in schema.exclude(path=ENDLESS).get_all_operations():
        assert isinstance(result, Ok), result.err()
        operation = result.ok()
        modes = [GenerationMode.POSITIVE]
        if operation.body or operation.query:  # any string is valid in a path or a header
            modes.append(GenerationMode.NEGATIVE)
        generation = config.projects.default.generation
        cases = list(
            schema.iter_coverage_cases(operation, generation_modes=modes, generation_config=generation)
        )
        valid = next(case for case in cases if is_valid(case))
        for index, user_session in product(range(3), known.sessions):
            known.fill(valid, index)
            send(valid, user_session)
        for index, case in enumerate(cases):
            if index % 4 < 2:
                known.fill(case, index)
            send(case, known.sessions[1 + index % 2])

        @settings(
            max_examples=max_examples,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(
            case=st.one_of([operation.as_strategy(generation_mode=mode) for mode in modes]),
            user_session=st.sampled_from(known.sessions),
            index=st.integers(-3, 9),
        )
        def send_examples(case: Case[Any], user_session: str | None, index: int) -> None:
            if index >= 0:
                known.fill(case, index)
            send(case, user_session)

        send_examples()
        if operation.label != SIGNED_BY_STRIPE:
            statuses = known.statuses[operation.label]
            assert any(status < 300 for status in statuses), f"{operation.label} never succeeds: {statuses}"


def is_valid(case: Case[Any]) -> bool:
    assert case.meta is not None
    return case.meta.generation.mode.is_positive


def check_reasons_of_400(_context: object, response: Any, case: Case[Any]) -> None:
    """A valid request gets 400 only for a business rule, which names no field."""
    if is_valid(case) and response.status_code == 400:
        errors = [error for error in response.json()["errors"] if error["message"] != "Email in use"]
        fields = {error.get("field") for error in errors}
        # Only Stripe knows the valid tokens, and JSON Schema cannot limit the decimals of a price.
        assert fields <= {None, "token", "price"}


def check_request_id(_context: object, response: Any, _case: Case[Any]) -> None:
    assert response.headers.get("x-request-id"), "the response has no X-Request-ID"
