"""Owns the chores: events delivered to the webhook until it takes them, and the late ends of refunds."""

import asyncio
import contextlib
import hmac
import json
import logging
import random
import time
from hashlib import sha256

import httpx

from stripe_stand_in import routes
from stripe_stand_in.events import DELIVER, Telling
from stripe_stand_in.store import Chore, Store

_AT_ONCE = 8
_PATIENCE = 10.0
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 60.0
_GIVEN_UP_AFTER = 3 * 24 * 3600.0
_LOOK_AHEAD = 100

log = logging.getLogger("stripe_stand_in.webhooks")


def signature(body: str, secrets: list[str], at: int) -> str:
    """The Stripe-Signature header: one signature a secret, as while a secret is rolled."""
    signed = f"{at}.{body}".encode()
    each = [hmac.new(secret.encode(), signed, sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={at}", *(f"v1={one}" for one in each)])


class Chores:
    """Does what is due, at most 8 things at once, for as long as the server runs."""

    def __init__(self, store: Store, telling: Telling, url: str | None, secrets: list[str]) -> None:
        self._store = store
        self._telling = telling
        self._url = url
        self._secrets = secrets
        self._in_hand: dict[int, asyncio.Task[None]] = {}
        self._something_new = asyncio.Event()

    def wake(self) -> None:
        """There may be something new to do."""
        self._something_new.set()

    async def run(self) -> None:
        # Nothing of the environment: a proxy that is set there knows no localhost.
        async with httpx.AsyncClient(timeout=_PATIENCE, trust_env=False) as http:
            try:
                while True:
                    self._something_new.clear()
                    wait = self._begin_what_is_due(http)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(wait):
                            await self._something_new.wait()
            finally:
                for task in self._in_hand.values():
                    task.cancel()
                await asyncio.gather(*self._in_hand.values(), return_exceptions=True)

    def _begin_what_is_due(self, http: httpx.AsyncClient) -> float | None:
        """Returns the seconds until there is more to do; None: only once woken."""
        now = time.time()
        for chore in self._store.chores(_LOOK_AHEAD):
            if chore.id in self._in_hand or (chore.what == DELIVER and self._telling.held):
                continue
            if len(self._in_hand) == _AT_ONCE:
                return None
            if chore.due > now:
                return chore.due - now
            self._in_hand[chore.id] = asyncio.create_task(self._do(chore, http))
        return None

    async def _do(self, chore: Chore, http: httpx.AsyncClient) -> None:
        try:
            if chore.what != DELIVER:
                with self._store.transaction():
                    routes.end_refund(self._store, self._telling, chore.object_id, chore.what)
                    self._store.drop_chore(chore)
            else:
                delivered = await self._deliver(chore, http)
                with self._store.transaction():
                    if delivered or time.time() - chore.begun > _GIVEN_UP_AFTER:
                        self._store.drop_chore(chore)
                    else:
                        wait = min(_FIRST_WAIT * 2 ** min(chore.failures, 10), _LONGEST_WAIT)
                        self._store.put_off_chore(chore, time.time() + wait * random.uniform(0.5, 1))
        except Exception:
            log.exception("a chore failed, it stays for the next start")
            return
        del self._in_hand[chore.id]
        self.wake()

    async def _deliver(self, chore: Chore, http: httpx.AsyncClient) -> bool:
        kept = self._store.get("event", chore.object_id)
        if kept is None or self._url is None:
            return True
        body = json.dumps(kept.body, indent=2)
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": signature(body, self._secrets, int(time.time())),
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }
        try:
            answer = await http.post(self._url, content=body, headers=headers)
        except httpx.HTTPError as error:
            log.info("%s not delivered: %s", kept.body["type"], type(error).__name__)
            return False
        log.info("%s delivered: %d", kept.body["type"], answer.status_code)
        return answer.is_success
