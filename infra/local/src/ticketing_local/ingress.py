"""The ingress: Caddy routes by path like the Kubernetes ingress, and answers errors like the services."""

import contextlib
import socket
from pathlib import Path
from string import Template

from ticketing_common.testing.servers import find_binary
from ticketing_local.errors import StackError
from ticketing_local.log_filters import filter_caddy
from ticketing_local.process import ProcessSpec, inherited
from ticketing_local.readiness import http_answers
from ticketing_local.replicas import ports_of

ROUTES = {
    "/api/users": "auth",
    "/api/tickets": "tickets",
    "/api/orders": "orders",
    "/api/payments": "payments",
}
SITE = "client"
"""The service that gets all other paths, but not those that the Caddyfile answers with 404."""


def plan_ingress(port: int, ports: dict[str, int], data_dir: Path, timeout_seconds: int = 30) -> ProcessSpec:
    """Plan Caddy on `port`, in front of the processes on `ports`.

    Requests for `orders` are shared between `orders`, `orders-2` and so on. A service that does not begin to
    answer within `timeout_seconds` is unavailable.
    """
    folder = (data_dir / "ingress").absolute()
    folder.mkdir(exist_ok=True)
    config = folder / "Caddyfile"
    config.write_text(
        Template(Path(__file__).with_name("Caddyfile").read_text()).substitute(
            port=port,
            hosts=" ".join(host for _, host in _loopback_addresses()),
            timeout_seconds=timeout_seconds,
            services="\n".join(_route(path, ports_of(service, ports)) for path, service in ROUTES.items()),
            site=_proxy(ports_of(SITE, ports)),
        )
    )
    command = [find_binary("caddy"), "run", "--config", str(config), "--adapter", "caddyfile"]
    # Without these, Caddy keeps files in the user's home.
    environment = inherited() | {"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    # The ingress answers this path itself, whether or not the services are up.
    return ProcessSpec("ingress", command, environment, http_answers(port, "/healthz", 404), filter_caddy)


def _route(path: str, ports: list[int]) -> str:
    name = path.rpartition("/")[2]
    # Not {path}*: that would match /api/ticketsfoo.
    return f"\t@{name} path {path} {path}/*\n\thandle @{name} {{\n\t\t{_proxy(ports)}\n\t}}"


def _proxy(ports: list[int]) -> str:
    upstreams = " ".join(f"127.0.0.1:{port}" for port in ports)
    snippet = "several" if len(ports) > 1 else "one"
    return f"reverse_proxy {upstreams} {{\n\t\t\timport {snippet}\n\t\t}}"


def check_port_is_free(port: int) -> None:
    """Raises StackError. Caddy cannot check this: it shares a port with another Caddy (SO_REUSEPORT)."""
    for family, host in _loopback_addresses():
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                denied = isinstance(error, PermissionError)
                problem = (
                    "needs the administrator's rights" if denied else "is in use: stop what listens on it"
                )
                raise StackError(
                    f"Port {port} {problem}, or choose another: PORT=8001 make up "
                    "(with another DATA_DIR, to run a second stack beside the first)."
                ) from None


def _loopback_addresses() -> list[tuple[socket.AddressFamily, str]]:
    """The addresses of `localhost` that exist on this machine."""
    found = []
    for family, host in [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]:
        with contextlib.suppress(OSError), socket.socket(family) as probe:
            probe.bind((host, 0))
            found.append((family, host))
    return found
