"""Whatever a service is asked, it answers as its OpenAPI schema says: no 500, nothing outside the schema."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import pytest
import pytest_asyncio
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from market import Market, listed, ordered, pay, refund, until_status
from schemathesis import Case, GenerationMode
from schemathesis.config import SchemathesisConfig

pytestmark = pytest.mark.asyncio(loop_scope="module")

NO_END = "/api/tickets/events"
"""A stream, which a probe would wait for in vain."""
UNSIGNED = "POST /api/payments/webhook"
"""What Stripe has not signed is refused, and nobody else can sign."""

# QUERY is left out: the ingress refuses methods that no route has, and knows no routes to name.
METHODS = ["get", "put", "post", "delete", "options", "patch", "trace"]
SETTINGS = settings(
    max_examples=40, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)


@dataclass
class Known:
    """What the probes may speak of, lest all of it be unknown to the market."""

    people: list[str | None]
    """Sessions; None: nobody is signed in."""
    values: dict[str, list[str]]
    """By the name of a parameter, or of a body's field."""
    statuses: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    """By operation: what it has answered."""

    def put_into(self, case: Case, pick: int) -> None:
        """Have a request speak of something real; what is wrong with it, if anything, stays."""
        for name in self.values.keys() & case.path_parameters.keys():
            case.path_parameters[name] = self._one_of(name, pick)
        if case.operation.label == "POST /api/users/signup":
            return  # it wants an address that nobody has
        if case.meta.generation.mode.is_positive and isinstance(case.body, dict):
            for name in self.values.keys() & case.body.keys():
                case.body[name] = self._one_of(name, pick)

    def learn(self, case: Case, response: Any) -> None:
        self.statuses[case.operation.label].add(response.status_code)
        if response.status_code == 201 and case.operation.label == "POST /api/orders":
            self.values["order_id"].append(response.json()["id"])

    def _one_of(self, name: str, pick: int) -> str:
        return self.values[name][-1 - pick % len(self.values[name])]


@pytest_asyncio.fixture(loop_scope="module")
async def known(patient_market: Market) -> Known:
    """A seller and a buyer, and orders in every state."""
    seller, buyer = await patient_market.person(), await patient_market.person()
    tickets = [await listed(seller) for _ in range(10)]
    orders = [(await ordered(buyer, ticket))["id"] for ticket in tickets[:2]]
    for order_id in orders:
        assert (await pay(buyer, order_id)).status_code == 201
        await until_status(buyer, order_id, "complete")
    assert (await refund(seller, orders[0])).status_code == 200
    orders += [(await ordered(buyer, ticket))["id"] for ticket in tickets[2:6]]
    person = (await buyer.get("/api/users/currentuser")).json()["currentUser"]
    return Known(
        people=[None, seller.cookies["session"], buyer.cookies["session"]],
        values={
            "ticket_id": tickets,
            "ticketId": tickets,
            "order_id": orders,
            "orderId": orders,
            "token": ["tok_chargeDeclined", "tok_visa", "tok_threeDSecureRequired"],
            "email": [person["email"]],
            "password": ["correct horse"],
        },
    )


@pytest.mark.parametrize("service", ["users", "tickets", "orders", "payments"])
async def test_every_answer_is_as_the_schema_says(patient_market, known, service):
    base = patient_market.stack.base_url
    config = SchemathesisConfig.from_dict(
        {
            "base-url": base,
            # 400: it may be a rule of the market; see breaks_a_rule.
            "checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", 400, 401, 404, 429]}},
            "phases": {"coverage": {"unexpected-methods": METHODS}},
        }
    )
    # In a thread: the stack's parts are listened to by the event loop.
    await asyncio.to_thread(_probe, f"{base}/api/{service}/openapi.json", config, known)


def _probe(url: str, config: SchemathesisConfig, known: Known) -> None:
    schema = schemathesis.openapi.from_url(url, config=config)
    session = requests.Session()
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # who asks is said with each request

    def ask(case: Case, who: str | None) -> None:
        headers = {"Cookie": f"session={who}"} if who else {}
        response = case.call(session=session, headers=headers, timeout=20)
        known.learn(case, response)
        case.validate_response(response, headers=headers, additional_checks=[breaks_a_rule, bears_an_id])

    for operation in [result.ok() for result in schema.exclude(path=NO_END).get_all_operations()]:
        modes = [GenerationMode.POSITIVE]
        if operation.body or operation.query:  # a string in a path or header can't be wrong
            modes.append(GenerationMode.NEGATIVE)
        generation = config.projects.default.generation
        edges = schema.iter_coverage_cases(operation, generation_modes=modes, generation_config=generation)
        for pick, case in enumerate(edges):
            if pick % 4 < 2:
                known.put_into(case, pick)
            ask(case, known.people[1 + pick % 2])

        @SETTINGS
        @given(
            case=st.one_of([operation.as_strategy(generation_mode=mode) for mode in modes]),
            who=st.sampled_from(known.people),
            pick=st.integers(-3, 9),
        )
        def probe(case: Case, who: str | None, pick: int) -> None:
            if pick >= 0:
                known.put_into(case, pick)
            ask(case, who)

        probe()
        if operation.label != UNSIGNED:
            statuses = known.statuses[operation.label]
            assert any(status < 300 for status in statuses), f"{operation.label} only refused: {statuses}"


def breaks_a_rule(_ctx: object, response: Any, case: Case) -> None:
    """What the schema allows may break a rule of the market, but has no field of a wrong form."""
    if case.meta.generation.mode.is_positive and response.status_code == 400:
        errors = [error for error in response.json()["errors"] if error["message"] != "Email in use"]
        fields = {error.get("field") for error in errors}
        # Only Stripe knows which tokens there are, and no schema can say "at most two decimals".
        assert fields <= {None, "token", "price"}


def bears_an_id(_ctx: object, response: Any, _case: Case) -> None:
    assert response.headers.get("x-request-id"), "an answer bears no X-Request-ID"
