"""The parts of the market: which command runs each, what it is told, and what stack.env tells scripts."""

import sys
from dataclasses import dataclass
from pathlib import Path

from ticketing_common.testing.servers import free_port
from ticketing_local.probes import Probe, http_answers
from ticketing_local.process import Part, inherited
from ticketing_local.settings import Settings
from ticketing_local.stores import Stores, find_stores

STOP_ORDER = [
    ["ingress"],
    ["client"],
    ["auth", "tickets", "orders", "payments", "expiration", "worker"],
    ["stripe"],
    ["mongod", "nats", "redis"],
]
"""Who asks stops before who answers. The start is all at once: services wait for their stores."""

_SERVICES = ["auth", "tickets", "orders", "payments", "expiration"]
"""Those with a database."""


@dataclass(frozen=True)
class Plan:
    """What will run, decided before anything does."""

    parts: list[Part]
    """All but the ingress, which starts when these are ready."""
    elsewhere: dict[str, str]
    """The stores that run already, by name, with their URLs."""
    ports: dict[str, int]
    """Where each service listens."""
    env: dict[str, str]
    """The content of stack.env."""


def plan_parts(settings: Settings, secrets: dict[str, str]) -> Plan:
    stores = find_stores(settings)
    ports = {name: free_port() for name in [*_SERVICES, "worker", "client"]}
    env = _stack_env(settings, secrets, stores, ports)

    def service(name: str, *own: str, module: str = "main") -> Part:
        told = {"HOST": "127.0.0.1", "PORT": str(ports[name])}
        told |= {"LOG_LEVEL": settings.log_level, "LOG_FORMAT": "console"} | {key: env[key] for key in own}
        if database := env.get(f"MONGO_URI_{'EXPIRATION' if name == 'worker' else name.upper()}"):
            told |= {"MONGO_URI": database, "NATS_URL": env["NATS_URL"]}
        if "JWT_KEY" in own:
            told |= {"COOKIE_SECURE": "false"}  # plain http
        package = "expiration" if name == "worker" else name
        return python_part(name, f"{package}.{module}", told, http_answers(ports[name], "/readyz"))

    parts = [
        *stores.parts,
        *_stand_in(settings, secrets, stores),
        service("auth", "JWT_KEY"),
        service("tickets", "JWT_KEY"),
        service("orders", "JWT_KEY", "EXPIRATION_WINDOW_SECONDS"),
        service(
            "payments",
            *("JWT_KEY", "STRIPE_KEY", "STRIPE_API_BASE", "STRIPE_JS"),
            *("STRIPE_PUBLISHABLE_KEY", "STRIPE_WEBHOOK_SECRET"),
        ),
        service("expiration", "REDIS_URL"),
        service("worker", "REDIS_URL", module="worker"),
        service("client", "JWT_KEY", "AUTH_URL", "TICKETS_URL", "ORDERS_URL", "PAYMENTS_URL"),
    ]
    return Plan(parts, stores.elsewhere, ports, env)


def python_part(name: str, module: str, told: dict[str, str], is_ready: Probe | None) -> Part:
    # -P: a folder `orders` where the stack was started is not the package `orders`.
    environment = inherited() | {"PYTHONUNBUFFERED": "1"} | told
    return Part(name, [sys.executable, "-P", "-m", module], environment, is_ready)


def _stand_in(settings: Settings, secrets: dict[str, str], stores: Stores) -> list[Part]:
    if not stores.stripe_port:
        return []
    told = {
        "HOST": "127.0.0.1",
        "PORT": str(stores.stripe_port),
        "DATA_DIR": str(settings.data_dir.absolute() / "stripe"),
        "STRIPE_KEY": secrets["STRIPE_KEY"],
        "STRIPE_PUBLISHABLE_KEY": secrets["STRIPE_PUBLISHABLE_KEY"],
        # As Stripe would, it comes through the front door.
        "WEBHOOK_URL": f"http://localhost:{settings.port}/api/payments/webhook",
        "STRIPE_WEBHOOK_SECRET": secrets["STRIPE_WEBHOOK_SECRET"],
    }
    Path(told["DATA_DIR"]).mkdir(exist_ok=True)
    is_ready = http_answers(stores.stripe_port, "/healthz")
    return [python_part("stripe", "stripe_stand_in.main", told, is_ready)]


def _stack_env(
    settings: Settings, secrets: dict[str, str], stores: Stores, ports: dict[str, int]
) -> dict[str, str]:
    return {
        "BASE_URL": f"http://localhost:{settings.port}",
        **{f"{name.upper()}_URL": f"http://127.0.0.1:{port}" for name, port in ports.items()},
        "MONGO_URL": stores.mongo_url,
        **{f"MONGO_URI_{name.upper()}": stores.mongo_uri(name) for name in _SERVICES},
        "NATS_URL": stores.nats_url,
        "REDIS_URL": stores.redis_url,
        "JWT_KEY": secrets["JWT_KEY"],
        "STRIPE_API_BASE": stores.stripe_api_base,
        "STRIPE_JS": stores.stripe_js,
        "STRIPE_KEY": secrets["STRIPE_KEY"],
        "STRIPE_PUBLISHABLE_KEY": secrets["STRIPE_PUBLISHABLE_KEY"],
        "STRIPE_WEBHOOK_SECRET": secrets["STRIPE_WEBHOOK_SECRET"],
        "EXPIRATION_WINDOW_SECONDS": str(settings.expiration_window_seconds),
    }
