"""The one door: Caddy routes by path, as the Kubernetes ingress does, and answers errors as services do."""

import json
from pathlib import Path

from ticketing_common.testing.servers import find_binary
from ticketing_local import quiet
from ticketing_local.claims import loopbacks
from ticketing_local.probes import http_answers
from ticketing_local.process import Part, inherited
from ticketing_local.replicas import ports_of

ROUTES = {
    "/api/users": "auth",
    "/api/tickets": "tickets",
    "/api/orders": "orders",
    "/api/payments": "payments",
}
SITE = "client"
"""Who gets the rest, all but these."""
_NOT_ROUTED = "/api /api/* /healthz /readyz /metrics"

# The contract's words: a client cannot tell, and need not, whether the ingress or a service answered.
_NOT_FOUND = "Not found"
_METHOD_NOT_ALLOWED = "Method not allowed"
_TOO_LARGE = "The request body is larger than 64 KiB"
_UNAVAILABLE = "The service is not available at the moment, please try again"
_MALFORMED = "The request body is not valid HTTP"
_FAILED = "Something went wrong"

_BAD_CHUNKS = "chunk|header line too long"
"""What Go says of a client's body; there is no type or status to tell it by."""

_METHODS = "GET HEAD POST PUT PATCH DELETE OPTIONS TRACE"

# What is left of a body must never be taken for the next request, nor waited for without end. Caddy would do
# so after an answer of the service that came early (408, 413), after chunks that break off, where a length is
# told beside chunks, and after an error of its own amid a body: those connections end. A body said to be too
# large is not passed on; Caddy still reads up to 256 KiB of it, so that the answer is seen.
_BODIES = """\
	request_body {
		max_size 64KiB
	}
	@chunked header Transfer-Encoding *
	header @chunked Connection close
	header {
		>Connection close
		match status 408 413
	}
	@vast expression `{header.Content-Length} != "" && int({header.Content-Length}) > 256 * 1024`
	header @vast Connection close
	@oversized expression `{header.Content-Length} != "" && int({header.Content-Length}) > 64 * 1024`
	handle @oversized {
		error 413
	}"""


def ingress(port: int, ports: dict[str, int], data_dir: Path, patience_seconds: int = 30) -> Part:
    """Caddy on `port`, in front of the services on `ports`; one that does not answer in time is down.

    `ports` names the parts: requests for `orders` are shared between `orders`, `orders-2` and so on.
    """
    folder = (data_dir / "ingress").absolute()
    folder.mkdir(exist_ok=True)
    config = folder / "Caddyfile"
    config.write_text(caddyfile(port, ports, patience_seconds))
    command = [find_binary("caddy"), "run", "--config", str(config), "--adapter", "caddyfile"]
    # Caddy keeps an identity and a cache in the user's home otherwise.
    homes = {"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    # Its own answer, whichever service is down.
    is_ready = http_answers(port, "/healthz", 404)
    return Part("ingress", command, inherited() | homes, is_ready, quiet.of_caddy)


def caddyfile(port: int, ports: dict[str, int], patience_seconds: int) -> str:
    hosts = " ".join(host for _, host in loopbacks())
    routes = "\n".join(
        _route(path, ports_of(service, ports), patience_seconds) for path, service in ROUTES.items()
    )
    return f"""# Written at each start of the local stack.
{{
	admin off
	auto_https off
	persist_config off
	grace_period 5s
	servers {{
		protocols h1
		timeouts {{
			read_header 10s
			read_body 15s
			idle 2m
		}}
	}}
	log {{
		output stderr
		format json
		level WARN
	}}
}}

http://:{port} {{
	bind {hosts}
	log {{
		output stderr
		format json
		level ERROR
	}}
	header {{
		-Server
		-Via
		defer
	}}
{_BODIES}
	@no_method not method {_METHODS}
	handle @no_method {{
		error 405
	}}
{routes}
	@not_routed path {_NOT_ROUTED}
	handle @not_routed {{
		error 404
	}}
	handle {{
{_proxy(ports_of(SITE, ports), patience_seconds)}
	}}
	handle_errors {{
		header {{
			Content-Type application/json
			X-Request-ID {{http.error.id}}
			-Server
		}}
		@too_large expression `{{err.status_code}} == 413`
		handle @too_large {{
			{_respond(413, _TOO_LARGE)}
		}}
		@malformed expression `{{err.status_code}} == 502 && {{err.message}}.matches("{_BAD_CHUNKS}")`
		handle @malformed {{
			header Connection close
			{_respond(400, _MALFORMED)}
		}}
		@unavailable expression `{{err.status_code}} in [502, 503, 504]`
		handle @unavailable {{
			header {{
				Connection close
				Retry-After 1
			}}
			{_respond(503, _UNAVAILABLE)}
		}}
		@not_found expression `{{err.status_code}} == 404`
		handle @not_found {{
			{_respond(404, _NOT_FOUND)}
		}}
		@not_allowed expression `{{err.status_code}} == 405`
		handle @not_allowed {{
			{_respond(405, _METHOD_NOT_ALLOWED)}
		}}
		handle {{
			{_respond("{err.status_code}", _FAILED)}
		}}
	}}
}}
"""


def _route(path: str, ports: list[int], patience_seconds: int) -> str:
    """The path itself and what is below it, but not `/api/ticketsfoo`."""
    name = path.rpartition("/")[2]
    return f"""
	@{name} path {path} {path}/*
	handle @{name} {{
{_proxy(ports, patience_seconds)}
	}}"""


# Of several replicas, one that refuses connections or does not answer /healthz within a second gets no
# requests. Caddy repeats a request at another replica if it could not connect, so that nothing was sent,
# or if it is a GET; never one that may have had an effect.
_SHARED = """\
			lb_policy round_robin
			lb_try_duration 2s
			lb_try_interval 50ms
			health_uri /healthz
			health_interval 1s
			health_timeout 1s
"""


def _proxy(ports: list[int], patience_seconds: int) -> str:
    upstreams = " ".join(f"127.0.0.1:{port}" for port in ports)
    # Keep-alive below uvicorn's 5 s, so that no request goes into a connection that is just being closed.
    # Event streams need no flush_interval: Caddy knows them by their type. (-1 would keep it from telling the
    # service that a listener has gone.)
    return f"""\
		reverse_proxy {upstreams} {{
{_SHARED if len(ports) > 1 else ""}\
			transport http {{
				dial_timeout 2s
				response_header_timeout {patience_seconds}s
				keepalive 4s
				compression off
			}}
		}}"""


def _respond(status: int | str, message: str) -> str:
    body = json.dumps({"errors": [{"message": message}]}, separators=(",", ":"))
    return f"respond `{body}` {status}"
