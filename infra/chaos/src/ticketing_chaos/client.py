"""An HTTP client that records its requests in the history, and retries them as people do."""

import asyncio
import json
import random
import time

import httpx

from ticketing_chaos.history import History, Json, Request

_TIMEOUT = 12.0  # seconds; longer than any service takes to answer
_TRIES = 4
_WITH_KEY = 0.7  # the share of forms with an Idempotency-Key; the other shares are of these
_SENT_TWICE, _SENT_AGAIN = 0.2, 0.2


class RecordingClient:
    def __init__(self, name: str, base_url: str, history: History, rng: random.Random) -> None:
        self.name, self._history, self._rng = name, history, rng
        self._http = httpx.AsyncClient(base_url=base_url, timeout=_TIMEOUT, trust_env=False)
        self._forms = 0
        self._to_send_again: list[tuple[str, Json, str]] = []

    async def close(self) -> None:
        await self._http.aclose()

    async def send(self, method: str, path: str, body: Json | None = None, key: str | None = None) -> Request:
        """Send one request, and record it whatever its outcome is."""
        started_at = time.time()
        status, data, request_id = None, None, None
        headers = {"Idempotency-Key": key} if key else {}
        try:
            response = await self._http.request(method, path, json=body, headers=headers)
            status, request_id = response.status_code, response.headers.get("x-request-id")
            data = json.loads(response.content) if response.content else None
        except httpx.TransportError as error:
            data = repr(error)
        except ValueError:
            data = response.text[:200]
        finally:  # also if the task is cancelled
            redacted = {**body, "password": "..."} if body and "password" in body else body
            request = Request(
                user=self.name, started_at=started_at, ended_at=time.time(), method=method, path=path,
                body=redacted, key=key, status=status, response=data, request_id=request_id,
            )  # fmt: skip
            self._history.requests.append(request)
        return request

    async def retry(
        self, method: str, path: str, body: Json | None = None, key: str | None = None
    ) -> Request:
        """Send a request, and repeat it a few times while its outcome is unknown."""
        for _ in range(_TRIES):
            request = await self.send(method, path, body, key)
            if not request.is_outcome_unknown:
                break
            await self.pause()
        return request

    async def submit(self, path: str, body: Json) -> Request:
        """Send a form with retries: mostly with a key, sometimes twice at once, sometimes again later."""
        if self._rng.random() >= _WITH_KEY:
            return await self.retry("POST", path, body)
        self._forms += 1
        key = f"{self.name}-{self._forms}"
        times = 2 if self._rng.random() < _SENT_TWICE else 1
        requests = await asyncio.gather(*(self.retry("POST", path, body, key) for _ in range(times)))
        if self._rng.random() < _SENT_AGAIN:
            self._to_send_again.append((path, body, key))
        return next((request for request in requests if request.succeeded), requests[0])

    async def submit_again(self) -> None:
        """Send an earlier form again with the same key, as the back button does."""
        if self._to_send_again:
            path, body, key = self._to_send_again.pop(0)
            await self.retry("POST", path, body, key)

    async def pause(self) -> None:
        await asyncio.sleep(self._rng.uniform(0.1, 0.8))
