"""Plans several replicas of each service, the worker and the web site; `make up` runs one of each."""

from dataclasses import replace

from ticketing_common.testing.servers import free_port
from ticketing_local.plan import Plan
from ticketing_local.process import ProcessSpec
from ticketing_local.readiness import http_answers


def service_of(name: str) -> str:
    """The service that a process is a replica of: `orders` for `orders` and `orders-2`."""
    return name.partition("-")[0]


def ports_of(service: str, ports: dict[str, int]) -> list[int]:
    """The ports of a service's replicas, from the ports of all processes."""
    return [port for name, port in ports.items() if service_of(name) == service]


def replicate(plan: Plan, replicas: int) -> Plan:
    """Plan `replicas` processes in place of each that has a port in `plan.ports`.

    The first keeps its name; the second of `orders` is `orders-2`. The nth web site calls the nth replica of
    each service. The ingress uses all replicas.
    """
    numbers = range(2, replicas + 1)
    ports = {f"{name}-{n}": free_port() for n in numbers for name in plan.ports}
    copies = [_copy(spec, n, ports) for n in numbers for spec in plan.processes if spec.name in plan.ports]
    return replace(plan, processes=[*plan.processes, *copies], ports=plan.ports | ports)


def _copy(spec: ProcessSpec, n: int, ports: dict[str, int]) -> ProcessSpec:
    name = f"{spec.name}-{n}"
    environment = spec.environment | {"PORT": str(ports[name])}
    for service in ("auth", "tickets", "orders", "payments"):
        if f"{service.upper()}_URL" in environment:
            environment[f"{service.upper()}_URL"] = f"http://127.0.0.1:{ports[f'{service}-{n}']}"
    return replace(spec, name=name, environment=environment, is_ready=http_answers(ports[name], "/readyz"))
