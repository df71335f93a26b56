"""Runs the chores: delivers events to the webhook, and finishes refunds that take time."""

import asyncio
import contextlib
import hmac
import json
import logging
import random
import time
from hashlib import sha256

import httpx

from stripe_stand_in.events import DELIVER, EventLog
from stripe_stand_in.operations import finish_refund
from stripe_stand_in.store import Chore, Store

_MAX_RUNNING = 8
_TIMEOUT = 10.0
_FIRST_WAIT, _MAX_WAIT = 0.5, 60.0
_GIVE_UP_AFTER = 3 * 24 * 3600.0
_READ_AHEAD = 100

log = logging.getLogger(__name__)


def sign(body: str, secrets: list[str], at: int) -> str:
    """The Stripe-Signature header: one signature per secret, as while a secret is rolled."""
    signed = f"{at}.{body}".encode()
    signatures = [hmac.new(secret.encode(), signed, sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={at}", *(f"v1={signature}" for signature in signatures)])


class ChoreRunner:
    """Runs due chores, up to 8 at once, until it is cancelled."""

    def __init__(self, store: Store, events: EventLog, url: str | None, secrets: list[str]) -> None:
        self._store = store
        self._events = events
        self._url = url
        self._secrets = secrets
        self._running: dict[int, asyncio.Task[None]] = {}
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Call it when a chore may have been added."""
        self._woken.set()

    async def run(self) -> None:
        # trust_env=False: a proxy from the environment does not reach localhost.
        async with httpx.AsyncClient(timeout=_TIMEOUT, trust_env=False) as http:
            try:
                while True:
                    self._woken.clear()
                    wait = self._start_due(http)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(wait):
                            await self._woken.wait()
            finally:
                for task in self._running.values():
                    task.cancel()
                await asyncio.gather(*self._running.values(), return_exceptions=True)

    def _start_due(self, http: httpx.AsyncClient) -> float | None:
        """Returns the seconds until the next chore is due; None: wait for `wake`."""
        now = time.time()
        for chore in self._store.chores(_READ_AHEAD):
            if chore.id in self._running or (chore.what == DELIVER and self._events.delivery.held):
                continue
            if len(self._running) == _MAX_RUNNING:
                return None
            if chore.due > now:
                return chore.due - now
            self._running[chore.id] = asyncio.create_task(self._do(chore, http))
        return None

    async def _do(self, chore: Chore, http: httpx.AsyncClient) -> None:
        try:
            is_done = chore.what != DELIVER or await self._deliver(chore, http)
            with self._store.transaction():
                if chore.what != DELIVER:
                    finish_refund(self._store, self._events, chore.object_id, chore.what)
                if is_done or time.time() - chore.begun > _GIVE_UP_AFTER:
                    self._store.delete_chore(chore)
                else:
                    wait = min(_FIRST_WAIT * 2 ** min(chore.failures, 10), _MAX_WAIT)
                    self._store.postpone_chore(chore, time.time() + wait * random.uniform(0.5, 1))
        except Exception:
            log.exception("chore failed; the next start retries it")
            return
        del self._running[chore.id]
        self.wake()

    async def _deliver(self, chore: Chore, http: httpx.AsyncClient) -> bool:
        """Whether the webhook accepted the event."""
        stored = self._store.get("event", chore.object_id)
        if stored is None or self._url is None:
            return True
        body = json.dumps(stored.body, indent=2)
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": sign(body, self._secrets, int(time.time())),
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }
        try:
            answer = await http.post(self._url, content=body, headers=headers)
        except httpx.HTTPError as error:
            log.info("%s not delivered: %s", stored.body["type"], type(error).__name__)
            return False
        log.info("%s delivered: %d", stored.body["type"], answer.status_code)
        return answer.is_success
