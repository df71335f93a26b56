"""A person's browser: sends requests, notes the answers, and repeats what was not answered."""

import asyncio
import json
import random
import time

import httpx

from ticketing_chaos.history import Call, History, Json

_PATIENCE = 12.0
"""Seconds that a person waits for an answer: longer than any service makes them."""
_TRIES = 4
_WITH_KEY = 0.7
"""The share of forms that bear an Idempotency-Key."""
_TWICE = 0.2
"""The share of those with a key that are sent twice at once."""
_SENT_AGAIN = 0.2
"""The share of those with a key that are sent once more later, though they were answered."""


class Browser:
    def __init__(self, name: str, base_url: str, history: History, chance: random.Random) -> None:
        self.name, self._history, self._chance = name, history, chance
        self._http = httpx.AsyncClient(base_url=base_url, timeout=_PATIENCE, trust_env=False)
        self._forms = 0
        self._to_send_again: list[tuple[str, Json, str]] = []

    async def close(self) -> None:
        await self._http.aclose()

    async def ask(self, method: str, path: str, body: Json | None = None, key: str | None = None) -> Call:
        """One request, noted with its answer, whatever becomes of it."""
        begun = time.time()
        status, answer, request_id = None, None, None
        headers = {"Idempotency-Key": key} if key else {}
        try:
            response = await self._http.request(method, path, json=body, headers=headers)
            status, request_id = response.status_code, response.headers.get("x-request-id")
            answer = json.loads(response.content) if response.content else None
        except httpx.TransportError as error:
            answer = repr(error)
        except ValueError:
            answer = response.text[:200]
        finally:  # also if it is cancelled
            told = body if body is None or "password" not in body else {**body, "password": "..."}
            call = Call(
                who=self.name, begun=begun, ended=time.time(), method=method, path=path, body=told, key=key,
                status=status, answer=self._history.share(answer), request_id=request_id,
            )  # fmt: skip
            self._history.calls.append(call)
        return call

    async def insist(self, method: str, path: str, body: Json | None = None, key: str | None = None) -> Call:
        """Repeat what was not answered, or answered by 503, a few times, as people do."""
        for _ in range(_TRIES):
            call = await self.ask(method, path, body, key)
            if not call.is_in_doubt:
                break
            await self.breathe()
        return call

    async def submit(self, path: str, body: Json) -> Call:
        """Send a form, as `insist` does: mostly with a key, now and then twice at once, or again later."""
        if self._chance.random() >= _WITH_KEY:
            return await self.insist("POST", path, body)
        self._forms += 1
        key = f"{self.name}-{self._forms}"
        times = 2 if self._chance.random() < _TWICE else 1
        calls = await asyncio.gather(*(self.insist("POST", path, body, key) for _ in range(times)))
        if self._chance.random() < _SENT_AGAIN:
            self._to_send_again.append((path, body, key))
        return next((call for call in calls if call.is_done), calls[0])

    async def submit_again(self) -> None:
        """Send a form that was sent before, with its key: the browser's back button."""
        if self._to_send_again:
            path, body, key = self._to_send_again.pop(0)
            await self.insist("POST", path, body, key)

    async def breathe(self) -> None:
        await asyncio.sleep(self._chance.uniform(0.1, 0.8))
