"""A running stack, its users, its databases, and the checks of its money."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import stripe

from ticketing_common.storage.mongo import connect
from ticketing_common.testing import wait_until
from ticketing_common.values.ids import new_id
from ticketing_local.plan import Plan, plan_stack
from ticketing_local.process import ProcessSpec
from ticketing_local.settings import Settings
from ticketing_local.stack import Planner, Stack
from ticketing_local.testing import running_stack


class StackUnderTest:
    def __init__(self, processes: Stack, specs: Mapping[str, ProcessSpec]) -> None:
        self.processes = processes
        self.refused_refunds: set[str] = set()
        """Orders whose refund Stripe refuses. Only these may differ between Stripe's records and ours."""
        self._specs = specs
        self._users: list[httpx.AsyncClient] = []
        self._databases: dict[str, Any] = {}
        self._payment_window = self.env["EXPIRATION_WINDOW_SECONDS"]
        self._intents = stripe.StripeClient(
            self.env["STRIPE_KEY"],
            base_addresses={"api": self.env["STRIPE_API_BASE"]},
            http_client=stripe.HTTPXClient(),
        ).v1.payment_intents

    @property
    def base_url(self) -> str:
        return self.processes.base_url

    @property
    def env(self) -> dict[str, str]:
        return self.processes.env

    async def sign_up(self) -> httpx.AsyncClient:
        """The client of a new user."""
        client = httpx.AsyncClient(base_url=self.base_url, timeout=20)
        self._users.append(client)
        response = await client.post(
            "/api/users/signup", json={"email": f"{new_id()}@example.com", "password": "correct horse"}
        )
        assert response.status_code == 201, response.text
        return client

    async def close_clients(self) -> None:
        while self._users:
            await self._users.pop().aclose()

    def database(self, service: str) -> Any:
        if service not in self._databases:
            self._databases[service] = connect(self.env[f"MONGO_URI_{service.upper()}"])
        return self._databases[service]

    async def set_payment_window(self, seconds: int) -> None:
        """Restarts orders if it runs with another window."""
        if self._payment_window != str(seconds):
            self._payment_window = str(seconds)
            window = {"EXPIRATION_WINDOW_SECONDS": self._payment_window}
            await self.processes.replace(_add_environment(self._specs["orders"], window))

    async def list_intents(self) -> list[stripe.PaymentIntent]:
        page = await self._intents.list_async({"limit": 100, "expand": ["data.latest_charge"]})
        return [intent async for intent in page.auto_paging_iter()]

    async def find_intent(self, order_id: str) -> stripe.PaymentIntent | None:
        found = [i for i in await self.list_intents() if i.metadata["orderId"] == order_id]
        assert len(found) <= 1, "an order has two PaymentIntents"
        return found[0] if found else None

    async def check_money(self) -> None:
        """Waits until Stripe keeps the price of every complete order, once, and nothing else.

        No authorisation may be left open.
        """

        async def is_settled() -> bool:
            orders = self.database("orders")["orders"]
            expected = [
                (order["_id"], order["ticket"]["price_cents"])
                for order in await orders.find({"status": "complete"}).to_list(10_000)
            ]
            intents = await self.list_intents()
            kept = [
                (intent.metadata["orderId"], cents)
                for intent in intents
                if (cents := net_captured_cents(intent))
                and intent.metadata["orderId"] not in self.refused_refunds
            ]
            authorised = [intent.id for intent in intents if intent.status == "requires_capture"]
            return sorted(kept) == sorted(expected) and not authorised

        await wait_until(is_settled, 30)

    async def check_reconciliation(self) -> None:
        """The reconciliation command finds no differences but the refused refunds."""
        status, output = await self.run_reconciliation()
        *differences, _summary = output.splitlines()
        assert {line.split()[1] for line in differences} == self.refused_refunds, output
        assert status == (1 if differences else 0), output

    async def run_reconciliation(self) -> tuple[int, str]:
        """The exit status of `python -m payments.reconciliation`, and its output."""
        return await self.run_command(
            "payments.reconciliation", MONGO_URI=self.env["MONGO_URI_PAYMENTS"], LOG_LEVEL="error"
        )

    async def run_command(self, module: str, *arguments: str, **variables: str) -> tuple[int, str]:
        """Runs `python -m` with stack.env and these variables. Returns the exit status and the output."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", module, *arguments),
            env={**os.environ, **self.env, **variables},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()

    async def control_stripe(
        self, method: str, path: str, rule: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Calls a control route of the stand-in for Stripe: `/_faults` or `/_webhooks`."""
        async with httpx.AsyncClient(base_url=self.env["STRIPE_API_BASE"]) as client:
            headers = {"Authorization": f"Bearer {self.env['STRIPE_KEY']}"}
            response = await client.request(method, path, json=rule, headers=headers)
        assert response.is_success, response.text
        return dict(response.json())

    async def authenticate(self, client_secret: str, *, success: bool = True) -> httpx.Response:
        """Completes 3-D Secure as the buyer does at the bank."""
        intent_id = client_secret.partition("_secret_")[0]
        async with httpx.AsyncClient(base_url=self.env["STRIPE_API_BASE"]) as client:
            return await client.post(
                f"/v1/payment_intents/{intent_id}/_authenticate",
                data={"client_secret": client_secret, "success": str(success).lower()},
            )


@asynccontextmanager
async def running_stack_under_test(
    data_dir: Path,
    *,
    payment_window: int,
    environment: Mapping[str, str] | None = None,
    plan: Planner = plan_stack,
) -> AsyncIterator[StackUnderTest]:
    """Runs a stack, and at the end compares Stripe's records with ours.

    Orders expire after the payment window, in seconds. `environment` is added to that of every process.
    """
    specs: dict[str, ProcessSpec] = {}

    def plan_and_keep_specs(settings: Settings, secrets: dict[str, str]) -> Plan:
        planned = plan(settings, secrets)
        specs.update({spec.name: _add_environment(spec, environment or {}) for spec in planned.processes})
        return replace(planned, processes=list(specs.values()))

    async with running_stack(
        data_dir, expiration_window_seconds=payment_window, plan=plan_and_keep_specs
    ) as processes:
        stack = StackUnderTest(processes, specs)
        yield stack
        await stack.check_reconciliation()
        await stack.close_clients()


def net_captured_cents(intent: stripe.PaymentIntent) -> int:
    """What was captured and not refunded."""
    charge = intent.latest_charge
    assert charge is None or isinstance(charge, stripe.Charge)
    return intent.amount_received - charge.amount_refunded if charge and intent.amount_received else 0


def _add_environment(spec: ProcessSpec, environment: Mapping[str, str]) -> ProcessSpec:
    return replace(spec, environment={**spec.environment, **environment})
