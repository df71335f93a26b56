"""Plans the stack: which processes run, and the command and environment of each."""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from ticketing_common.testing.servers import Server, answers, free_port, mongod, nats_server, redis_server
from ticketing_local.log_filters import LogFilter, filter_mongod, filter_nats, filter_redis
from ticketing_local.process import ProcessSpec, inherited
from ticketing_local.readiness import ReadinessCheck, http_answers
from ticketing_local.settings import Settings

_WITH_DATABASE = ["auth", "tickets", "orders", "payments", "expiration"]
_STRIPE_SECRETS = ["STRIPE_KEY", "STRIPE_PUBLISHABLE_KEY", "STRIPE_WEBHOOK_SECRET"]
_VARIABLES = {
    "auth": ["JWT_KEY"],
    "tickets": ["JWT_KEY"],
    "orders": ["JWT_KEY", "EXPIRATION_WINDOW_SECONDS"],
    "payments": ["JWT_KEY", "STRIPE_API_BASE", "STRIPE_JS", *_STRIPE_SECRETS],
    "expiration": ["REDIS_URL"],
    "worker": ["REDIS_URL"],
    "client": ["JWT_KEY", "AUTH_URL", "TICKETS_URL", "ORDERS_URL", "PAYMENTS_URL"],
}
"""The variables of stack.env that each service gets."""


@dataclass(frozen=True)
class Plan:
    """The processes of a stack that is not started yet."""

    processes: list[ProcessSpec]
    """All but the ingress, which starts when these are ready."""
    external: dict[str, str]
    """The URLs, by name, of the stores that the stack uses but does not start."""
    ports: dict[str, int]
    """The port of each service."""
    env: dict[str, str]
    """The content of stack.env."""


def plan_stack(settings: Settings, secrets: dict[str, str]) -> Plan:
    """One process for each service, and for each store that the settings do not name."""
    specs: list[ProcessSpec] = []
    external: dict[str, str] = {}

    def use_store(
        name: str, url: str | None, make_server: Callable[[int, Path], Server], log_filter: LogFilter
    ) -> str:
        """The URL of the external store, or else of a server that is added to the plan."""
        if url:
            external[name] = without_password(url)
            return url
        server = make_server(free_port(), settings.data_dir)
        is_ready = partial(asyncio.to_thread, answers, server)
        specs.append(ProcessSpec(name, server.command, inherited(), is_ready, log_filter))
        return server.url

    mongo_url = use_store("mongod", settings.mongo_url, mongod, filter_mongod)
    nats_url = use_store("nats", settings.nats_url, nats_server, filter_nats)
    redis_url = use_store("redis", settings.redis_url, redis_server, filter_redis)
    if settings.stripe_api_base:
        external["stripe"] = stripe_api_base = settings.stripe_api_base
        stripe_js = "https://js.stripe.com/v3/"
    else:
        port = free_port()
        specs.append(_plan_stripe_stand_in(port, settings, secrets))
        stripe_api_base = f"http://127.0.0.1:{port}"
        stripe_js = f"{stripe_api_base}/v3/"
    ports = {name: free_port() for name in _VARIABLES}
    env = {
        "BASE_URL": f"http://localhost:{settings.port}",
        **{f"{name.upper()}_URL": f"http://127.0.0.1:{port}" for name, port in ports.items()},
        "MONGO_URL": mongo_url,
        **{f"MONGO_URI_{name.upper()}": _with_database(mongo_url, name) for name in _WITH_DATABASE},
        "NATS_URL": nats_url,
        "REDIS_URL": redis_url,
        "STRIPE_API_BASE": stripe_api_base,
        "STRIPE_JS": stripe_js,
        "EXPIRATION_WINDOW_SECONDS": str(settings.expiration_window_seconds),
        **{name: secrets[name] for name in ["JWT_KEY", *_STRIPE_SECRETS]},
    }
    specs += [_plan_service(name, ports[name], env, settings.log_level) for name in _VARIABLES]
    return Plan(specs, external, ports, env)


def _plan_service(name: str, port: int, env: dict[str, str], log_level: str) -> ProcessSpec:
    service, module = ("expiration", "worker") if name == "worker" else (name, "main")
    variables = {"HOST": "127.0.0.1", "PORT": str(port), "LOG_LEVEL": log_level, "LOG_FORMAT": "console"}
    variables |= {variable: env[variable] for variable in _VARIABLES[name]}
    if service in _WITH_DATABASE:
        variables |= {"MONGO_URI": env[f"MONGO_URI_{service.upper()}"], "NATS_URL": env["NATS_URL"]}
    if "JWT_KEY" in variables:
        variables["COOKIE_SECURE"] = "false"  # the ingress serves plain HTTP
    return python_process(name, f"{service}.{module}", variables, http_answers(port, "/readyz"))


def _plan_stripe_stand_in(port: int, settings: Settings, secrets: dict[str, str]) -> ProcessSpec:
    data_dir = settings.data_dir.absolute() / "stripe"
    data_dir.mkdir(exist_ok=True)
    variables = {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "DATA_DIR": str(data_dir),
        # Like Stripe, it delivers events through the ingress.
        "WEBHOOK_URL": f"http://localhost:{settings.port}/api/payments/webhook",
        **{name: secrets[name] for name in _STRIPE_SECRETS},
    }
    return python_process("stripe", "stripe_stand_in.main", variables, http_answers(port, "/healthz"))


def python_process(
    name: str, module: str, variables: dict[str, str], is_ready: ReadinessCheck
) -> ProcessSpec:
    # -P: a folder named `orders` in the current directory must not hide the package `orders`.
    environment = inherited() | {"PYTHONUNBUFFERED": "1"} | variables
    return ProcessSpec(name, [sys.executable, "-P", "-m", module], environment, is_ready)


def _with_database(mongo_url: str, database: str) -> str:
    url = urlsplit(mongo_url)
    query = url.query
    if "@" in url.netloc and "authSource=" not in query:  # by default MongoDB looks for the user in the path
        query = f"{query}&authSource={url.path.strip('/') or 'admin'}".lstrip("&")
    return url._replace(path=f"/{database}", query=query).geturl()


def without_password(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()
