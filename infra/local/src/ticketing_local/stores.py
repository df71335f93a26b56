"""MongoDB, NATS, Redis and Stripe: the one that a URL in the environment names, or else one of our own."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ticketing_common.testing.servers import Server, free_port, mongod, nats_server, redis_server
from ticketing_local import quiet
from ticketing_local.probes import server_answers
from ticketing_local.process import Part, inherited
from ticketing_local.settings import Settings


@dataclass(frozen=True)
class Stores:
    """Where the stores are, and the parts that have to be started for it."""

    parts: list[Part]
    elsewhere: dict[str, str]
    """Those that run already, by name, with what the console says of them."""
    mongo_url: str
    nats_url: str
    redis_url: str
    stripe_api_base: str
    stripe_js: str
    """The script that browsers load."""
    stripe_port: int | None
    """The port for our stand-in; None with a Stripe elsewhere."""

    def mongo_uri(self, database: str) -> str:
        """The same server, another database: each service has its own."""
        url = urlsplit(self.mongo_url)
        query = url.query
        if (
            "@" in url.netloc and "authSource=" not in query
        ):  # else the new path would say where the user is known
            query = f"{query}&authSource={url.path.strip('/') or 'admin'}".lstrip("&")
        return url._replace(path=f"/{database}", query=query).geturl()


def find_stores(settings: Settings) -> Stores:
    parts: list[Part] = []
    elsewhere: dict[str, str] = {}

    def place(name: str, url: str | None, run: Callable[[int, Path], Server], shown: quiet.Filter) -> str:
        if url:
            elsewhere[name] = without_password(url)
            return url
        server = run(free_port(), settings.data_dir)
        parts.append(Part(name, server.command, inherited(), server_answers(server), shown))
        return server.url

    mongo_url = place("mongod", settings.mongo_url, mongod, quiet.of_mongod)
    nats_url = place("nats", settings.nats_url, nats_server, quiet.of_nats)
    redis_url = place("redis", settings.redis_url, redis_server, quiet.of_redis)
    stripe_port = None
    if settings.stripe_api_base:
        elsewhere["stripe"] = settings.stripe_api_base
    else:
        stripe_port = free_port()
    stripe_api_base = settings.stripe_api_base or f"http://127.0.0.1:{stripe_port}"
    stripe_js = f"{stripe_api_base}/v3/" if stripe_port else "https://js.stripe.com/v3/"
    return Stores(parts, elsewhere, mongo_url, nats_url, redis_url, stripe_api_base, stripe_js, stripe_port)


def without_password(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()
