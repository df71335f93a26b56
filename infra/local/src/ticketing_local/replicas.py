"""Several replicas of each service, the RQ worker and the web site, for tests; `make up` runs one of each."""

from dataclasses import replace

from ticketing_common.testing.servers import free_port
from ticketing_local.parts import Plan
from ticketing_local.probes import http_answers
from ticketing_local.process import Part


def service_of(part: str) -> str:
    """The service that a part is a replica of: `orders` for `orders` and `orders-2`."""
    return part.partition("-")[0]


def ports_of(service: str, ports: dict[str, int]) -> list[int]:
    """Where the replicas of a service listen, given where each part listens."""
    return [port for part, port in ports.items() if service_of(part) == service]


def replicate(plan: Plan, replicas: int) -> Plan:
    """The plan with `replicas` parts in place of each that listens on a port of `plan.ports`.

    The first keeps its name, the second of `orders` is `orders-2`. The nth web site sends its requests to the
    nth replica of each service; the ingress uses them all.
    """
    numbers = range(2, replicas + 1)
    ports = {f"{name}-{n}": free_port() for n in numbers for name in plan.ports}
    copies = [_copy(part, n, ports) for n in numbers for part in plan.parts if part.name in plan.ports]
    return replace(plan, parts=[*plan.parts, *copies], ports=plan.ports | ports)


def _copy(part: Part, n: int, ports: dict[str, int]) -> Part:
    name = f"{part.name}-{n}"
    environment = part.environment | {"PORT": str(ports[name])}
    for service in ("auth", "tickets", "orders", "payments"):
        if f"{service.upper()}_URL" in environment:
            environment[f"{service.upper()}_URL"] = f"http://127.0.0.1:{ports[f'{service}-{n}']}"
    return replace(part, name=name, environment=environment, is_ready=http_answers(ports[name], "/readyz"))
