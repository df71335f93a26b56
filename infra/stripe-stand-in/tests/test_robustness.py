"""Malformed requests: the answer has Stripe's shape, and the server continues."""

import base64
import random
import socket

import httpx
import pytest

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def error_of(answer):
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers["Request-Id"].startswith("req_")
    assert answer.headers["Content-Type"] == "application/json"
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    return error


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Basic !!!",
        "Basic " + base64.b64encode(b"\xff\xfe:").decode(),
        "Digest username=x",
    ],
)
def test_request_without_a_key_is_unauthorized(stripe_api, header):
    headers = {} if header is None else {"Authorization": header}
    answer = httpx.get(f"{stripe_api.url}/v1/payment_intents", headers=headers)
    assert answer.status_code == 401
    assert error_of(answer)["message"].startswith(
        "You did not provide an API key. You need to provide your API key"
    )


def test_error_shows_only_part_of_a_wrong_key(stripe_api):
    headers = {"Authorization": "Bearer sk_test_wrong_secret_abcd"}
    answer = httpx.get(f"{stripe_api.url}/v1/payment_intents", headers=headers)
    assert answer.status_code == 401
    assert error_of(answer)["message"] == "Invalid API Key provided: sk_test_*************abcd"


def test_key_is_accepted_as_the_user_name(stripe_api):
    assert httpx.get(f"{stripe_api.url}/v1/payment_intents", auth=(stripe_api.key, "")).status_code == 200


def test_healthz_requires_no_key(stripe_api):
    answer = httpx.get(f"{stripe_api.url}/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/v1/unheard_of"),
        ("GET", "/v1/payment_intents/"),
        ("DELETE", "/v1/payment_intents/pi_x"),
        ("PUT", "/v1/payment_intents"),
        ("OPTIONS", "/v1/refunds"),
        ("GET", "/v1/payment_intents/%2e%2e/%00%ff"),
    ],
)
def test_unknown_url_is_not_found(http, method, path):
    answer = http.request(method, path)
    assert answer.status_code == 404
    assert error_of(answer)["message"].startswith(f"Unrecognized request URL ({method}: /")


BODIES = [
    b"amount",
    b"amount=1999",
    b"=1",
    b"&&&===",
    b"amount=%FF%FE&currency=usd",
    b"\xff\xfe\x00",
    b"amount[=1",
    b"amount]=1",
    b"[amount]=1",
    b"amount[a]b=1",
    b"amount[a]=1&currency=usd",
    b"amount=1&amount[a]=1",
    b"amount[a]=1&amount=1",
    b"a[b][c][d][e][f][g][h][i]=1",
    b"metadata[]=x&amount=100&currency=usd&metadata[a][b]=1",
    b"amount=100&currency=usd&metadata=x",
    b"amount=100&currency=usd&expand=x",
    b"amount=100&currency=usd&expand[a]=x",
    b"amount=100&currency=usd&expand[]=",
    b"amount=100&currency=usd&expand[]=a.b.c.d.e.f.g",
    b"amount=100&currency=usd&expand[][]=x",
    b"amount=100&currency=usd&payment_method_types=card",
    b"amount=100&currency=usd&payment_method_types[]=sofa",
    b"amount=100&currency=usd&payment_method_data[type]=card",
    b"amount=100&currency=usd&payment_method_data=card",
    b"amount=100&currency=usd&payment_method_data[type]=sofa&payment_method_data[card][token]=tok_visa",
    b"amount=100&currency=usd&payment_method_data[type]=card&payment_method_data[card]=x",
    b"amount=100&currency=usd&payment_method_data[type]=card&payment_method_data[card][cvc]=1",
    b"amount=100&currency=usd&payment_method=pm_card_visa&payment_method_data[type]=card"
    b"&payment_method_data[card][token]=tok_visa",
    b"amount=100&currency=usd&metadata[" + b"k" * 41 + b"]=v",
    b"amount=100&currency=usd&metadata[k]=" + b"v" * 501,
    b"amount=100&currency=usd&" + b"&".join(b"metadata[%d]=v" % n for n in range(51)),
    b"amount=99999999999999999999999999999&currency=usd",
    b"amount=-1&currency=usd",
    b"amount=1e3&currency=usd",
    "amount=١٢٣&currency=usd".encode(),
    b"amount=1_000&currency=usd",
    b"amount=&currency=usd",
    b"amount=100&currency=",
    b"amount=100&currency=usd&description=" + b"x" * 5001,
    b"&".join(b"a%d=1" % n for n in range(2000)),
]


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_malformed_body_is_rejected(http, body):
    error_of(http.post("/v1/payment_intents", content=body, headers=FORM))


def test_other_content_types_are_rejected(http):
    message = error_of(http.post("/v1/payment_intents", json={"amount": 100}))["message"]
    assert "check that your POST content type is application/x-www-form-urlencoded" in message
    error_of(http.post("/v1/payment_intents", files={"amount": b"100"}))


def test_strange_ids_are_missing(http):
    for strange in ("%00", "%ff", "pi_%E2%82%AC", "'; DROP TABLE objects; --", "x" * 5000, "%F0%9F%8E%AB"):
        for path in ("payment_intents", "charges", "payment_methods", "events"):
            assert error_of(http.get(f"/v1/{path}/{strange}"))["code"] == "resource_missing"
        error_of(http.post(f"/v1/payment_intents/{strange}/cancel"))


def test_strange_idempotency_keys_are_rejected(http):
    for key in ("x" * 256, "\u00e9", "'"):
        answer = http.post(
            "/v1/payment_intents/pi_x/cancel", headers={"Idempotency-Key": key.encode("latin-1")}
        )
        error_of(answer)


def test_malformed_query_is_rejected(http):
    for query in (
        b"limit=%ff",
        b"created[gt]=99999999999999999999",
        b"created[gt][x]=1",
        b"limit[]=1",
        b"expand[]=data",
    ):
        error_of(http.get(b"/v1/payment_intents?".decode() + query.decode("latin-1")))


def test_text_is_returned_unchanged(client, create):
    strange = "\u20ac \U0001f3ab \x00 & = [ ] % + \"' \u202e"
    intent = create(metadata={"k": strange}, description=strange)
    again = client.v1.payment_intents.retrieve(intent.id)
    assert (again.metadata["k"], again.description) == (strange, strange)


def test_server_survives_random_bytes(stripe_api, http):
    """Random bodies, then random heads. Afterwards the server works, and its log has no traceback."""
    log = stripe_api.data_dir / "server.log"
    before = log.stat().st_size
    rng = random.Random(4242)
    pieces = [
        b"amount",
        b"[",
        b"]",
        b"=",
        b"&",
        b"%",
        b"metadata",
        b"expand",
        b"1",
        b"\x00",
        b"\xff",
        b"usd",
        b"+",
    ]
    for _ in range(300):
        body = b"".join(rng.choices(pieces, k=rng.randint(1, 30)))
        error_of(http.post("/v1/payment_intents", content=body, headers=FORM))
    port = int(stripe_api.url.rpartition(":")[2])
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", port)) as caller:
            query = rng.randbytes(20).replace(b"\r", b"").replace(b"\n", b"").replace(b" ", b"")
            caller.sendall(b"GET /v1/payment_intents?" + query + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            caller.sendall(rng.randbytes(40) + b"\r\n\r\n")
            answer = caller.recv(100)
            assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
    assert http.get("/v1/payment_intents").status_code == 200
    written = log.read_bytes()[before:].decode()
    assert "Traceback" not in written
    assert " 500 " not in written
