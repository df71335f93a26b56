"""A market, and every counter that its parts keep: what MongoDB, NATS, Redis, Stripe and the kernel tell."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
from pymongo import MongoClient
from redis import Redis

from ticketing_bench import processes
from ticketing_common.jetstream import STREAM, Bus, connected
from ticketing_common.testing import wait_until
from ticketing_local.market import sign_up, visitor
from ticketing_local.parts import Plan, plan_parts
from ticketing_local.settings import Settings
from ticketing_local.stack import Stack
from ticketing_local.testing import running_stack

DATABASES = ["auth", "tickets", "orders", "payments", "expiration"]
FOLLOWERS = DATABASES[1:]
PASSWORD = "correct horse battery"
_HTTP = DATABASES[:4]
_REQUEST = re.compile(
    r'^ticketing_http_request_seconds_count\{method="(\w+)",route="(/api[^"]*)",status="\d+"\} (\S+)',
    re.MULTILINE,
)
_STRIPE = re.compile(r"^(GET|POST|DELETE) (/v1/\S+) \d+", re.MULTILINE)


@dataclass
class Market:
    stack: Stack
    bus: Bus
    store: MongoClient[dict[str, Any]]
    redis: Redis
    web: httpx.AsyncClient
    people: list[httpx.AsyncClient]
    traffic: Counter[str] = field(default_factory=Counter)

    async def counters(self) -> Counter[str]:
        found: Counter[str] = Counter(self.traffic)
        for collection, used in self.store.admin.command("top")["totals"].items():
            if collection.partition(".")[0] in DATABASES:
                for kind in ("insert", "update", "remove", "queries", "commands"):
                    found[f"mongod {collection} {kind}"] += used[kind]["count"]
        log = self.store.admin.command("serverStatus")["wiredTiger"]["log"]
        found["journal bytes"] = log["log bytes written"]
        found["journal syncs"] = log["log sync operations"]
        for command, used in self.redis.info("commandstats").items():
            found[f"redis {command.removeprefix('cmdstat_')}"] = used["calls"]
        stream = await self.bus.js.stream_info(str(STREAM.name), subjects_filter=">")
        found["stream bytes"] = stream.state.bytes
        for subject, count in (stream.state.subjects or {}).items():
            found[f"stream {subject}"] = count
        for name in FOLLOWERS:
            info = await self.bus.js.consumer_info(str(STREAM.name), name)
            found[f"delivered to {name}"] = info.delivered.consumer_seq if info.delivered else 0
        for name in _HTTP:
            text = (await self.web.get(self.stack.env[f"{name.upper()}_URL"] + "/metrics")).text
            for method, route, count in _REQUEST.findall(text):
                found[f"http {method} {route}"] += float(count)  # type: ignore[assignment]
        for method, path in _STRIPE.findall((self.stack.data_dir / "logs" / "stripe.log").read_text()):
            found[f"stripe {method} {re.sub('pi_[A-Za-z0-9]+', '{id}', path)}"] += 1
        for part, pid in processes.running_parts().items():
            found[f"cpu ms {part}"] = processes.cpu_seconds(pid) * 1000  # type: ignore[assignment]
        return found

    async def rest(self) -> None:
        """Wait until every event is handled, no outbox holds one, and Stripe is told of everything."""
        await wait_until(self._is_quiet, 120)
        await asyncio.sleep(0.5)  # what the last webhooks have begun

    async def _is_quiet(self) -> bool:
        # MongoDB comes last, for what is asked of it here is counted, too.
        if any([await self.bus.waiting(name) for name in FOLLOWERS]):
            return False
        key = {"Authorization": f"Bearer {self.stack.env['STRIPE_KEY']}"}
        webhooks = await self.web.get(self.stack.env["STRIPE_API_BASE"] + "/_webhooks", headers=key)
        if webhooks.json()["pending"]:
            return False
        left = {"outbox.0": {"$exists": True}}
        if any(self.store[name][name].find_one(left, {"_id": 1}) for name in DATABASES[1:4]):
            return False
        open_ = {"settle_at": {"$type": "date"}}
        return self.store["payments"]["payments"].find_one(open_, {"_id": 1}) is None


@asynccontextmanager
async def counted_market(folder: Path, people: int) -> AsyncIterator[Market]:
    def plan(settings: Settings, secrets: dict[str, str]) -> Plan:
        planned = plan_parts(settings, secrets)
        named = [
            replace(part, environment={**part.environment, processes.NAME: part.name})
            for part in planned.parts
        ]
        return replace(planned, parts=named)

    async with running_stack(folder, plan=plan) as stack, httpx.AsyncClient() as web:
        visitors = [visitor(stack.base_url) for _ in range(people)]
        store: MongoClient[dict[str, Any]] = MongoClient(stack.env["MONGO_URL"])
        async with connected(stack.env["NATS_URL"], "cost") as bus:
            market = Market(stack, bus, store, Redis.from_url(stack.env["REDIS_URL"]), web, visitors)
            for n, who in enumerate(visitors):
                await sign_up(who, f"{n}@example.com", PASSWORD)
                who.event_hooks["response"].append(lambda answer: _count_traffic(market, answer))
            try:
                yield market
            finally:
                for who in visitors:
                    await who.aclose()
                store.close()


async def _count_traffic(market: Market, answer: httpx.Response) -> None:
    await answer.aread()
    asked = answer.request
    market.traffic["ingress requests"] += 1
    market.traffic["ingress bytes in"] += _size(asked.headers) + len(asked.content) + len(asked.url.raw_path)
    market.traffic["ingress bytes out"] += _size(answer.headers) + len(answer.content)


def _size(headers: httpx.Headers) -> int:
    return sum(len(name) + len(value) + 4 for name, value in headers.raw)
