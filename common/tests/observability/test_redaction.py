"""Redaction: text that is hidden, by its form, its name or by configuration, and text that is not."""

import json
import time

import pytest

from ticketing_common.observability.redaction import hide_value, redact

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJpZCI6IjEiLCJlbWFpbCI6ImFAYi5jIn0.c2lnbmF0dXJl-_"


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        (f"token {JWT} is bad", "token *** is bad"),
        (f"cut off: {JWT[:50]}", "cut off: ***"),
        ("Cookie: session=abc.def; device=x1; theme=dark", "Cookie: ***; device=***; theme=dark"),
        ("session=abc", "session=***"),
        ("[(b'cookie', b'session=abc'), (b'host', b'x')]", "[(b'cookie', b'***'), (b'host', b'x')]"),
        ('Set-Cookie: session="a b"; Path=/', 'Set-Cookie: ***"a b"; Path=/'),
        ("b'Bearer sk_live_abc123\\n'", "b'Bearer ***\\n'"),
        ("Authorization: Basic dXNlcjpwdw==", "Authorization: ***"),
        ("key sk_live_abc123", "key sk_live_***"),
        ("rk_test_abc, sk_abc", "rk_test_***, sk_***"),
        ("whsec_aB+c/9=", "whsec_***"),
        ("pi_123_secret_abc", "pi_123_secret_***"),
        ("tok_visa", "tok_***"),
        ("No such PaymentMethod: 'pm_1NqKabcdefghij'", "No such PaymentMethod: 'pm_1NqK***'"),
        ("ctoken_1NqKabcdefghij", "ctoken_1NqK***"),
        ("card 4242424242424242.", "card 4000000000000000."),
        ("4242 4242 4242 4242", "4000000000000000"),
        ("5555-5555-5555-4444", "5000000000000000"),
        ("3782 822463 10005", "300000000000000"),
        ("6011000990139424", "6000000000000000"),
        ("<alice.smith+x@mail.example.com>", "<a***@mail.example.com>"),
        ("GET /api/users/alice@example.com", "GET /api/users/a***@example.com"),
        ("?email=alice%40example.com", "?email=a***@example.com"),
        ('dup key: { email: "ann@example.com" }', 'dup key: { email: "a***@example.com" }'),
        ("mongodb://orders:p%40ss@db:27017/orders", "mongodb://***@db:27017/orders"),
        ("redis://:secret@redis:6379/0", "redis://***@redis:6379/0"),
        ("password='hunter2 sunny' email=''", "password='***' email=''"),
        ("{'password': 'hunter2', 'n': 1}", "{'password': '***', 'n': 1}"),
        ("email=a&password=hunter2&next=/", "email=a&password=***&next=/"),
        ("/auth/verify?token=5b1f9c77", "/auth/verify?token=***"),
        ("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA is damaged", "*** is damaged"),
        ("\x1b[36mpassword\x1b[0m=\x1b[35mhunter2\x1b[0m", "\x1b[36mpassword\x1b[0m=\x1b[35m***\x1b[0m"),
        ("\x1b[35msk_test_1\x1b[0m", "\x1b[35msk_test_***\x1b[0m"),
    ],
)
def test_secret_is_hidden_by_its_form_or_its_name(text, redacted):
    assert redact(text) == redacted
    assert redact(redacted) == redacted


@pytest.mark.parametrize(
    "text",
    [
        "692743aa0123456789012345",
        "order 555555555555555555555555 of 4242424242424242aabbccdd",
        "00-4242424242424242424242424242aabb-4242424242424242-01",
        "request 5f2b8a7c9d3e4f60718293a4b5c6d7e8",
        "1763000000000 is a time, and 4242424242424241 no card number",
        '{"ms":0.4242424242424242,"amountCents":1999,"at":"2026-11-26T18:00:02.123456Z"}',
        "pk_live_abc123 and pi_3NqKabcdefghij and task_id",
        "Password must be between 8 and 128 characters",
        '{"errors":[{"field":"password","message":"x"},{"field":"token","message":"y"}]}',
        '{"token":null,"session":true}',
        "mongodb://orders-mongo/orders?replicaSet=rs0",
    ],
)
def test_ids_amounts_times_and_words_are_unchanged(text):
    assert redact(text) == text


@pytest.mark.parametrize("value", ['quo"ted\\back\nline-key', "plain-configured-key"])
def test_configured_value_is_hidden_in_every_kind_of_quotes(value):
    hide_value(value)
    for text in (value, repr(value), json.dumps(value), json.dumps(repr(value)), json.dumps({"a": [value]})):
        assert "key" not in redact(text)


def test_short_configured_value_is_not_hidden():
    hide_value("orders")
    assert redact("orders is ready") == "orders is ready"


@pytest.mark.parametrize("before", ["\n", "\t", "\x1b", "\\", '"', "é", " "])
def test_redacted_json_is_still_valid_json(before):
    secrets = f"{before}alice@example.com{before}sk_live_a1{before}4242424242424242{before}{JWT}"
    values = {
        "event": secrets,
        "password": f"a'b\"c{before}",
        "nested": json.dumps({"password": secrets}),
        "card": 4242424242424242,
        "token": 12345,
        "device": None,
    }
    line = json.dumps(values)
    found = redact(line)
    assert json.loads(found).keys() == values.keys()
    for secret in ("alice", "live_a1", "4242", "12345", JWT[:20]):
        assert secret not in found


@pytest.mark.parametrize(
    "piece",
    [
        *("a", "a.", "a@", "-a@", "%40", "\\n", "4242 ", "4242-", "4", "eyJ", "://", "://a@", "a_secret_"),
        *(
            "tok_",
            "sk_",
            "session=",
            "password='",
            'password=\\"',
            "token: ",
            "token\x1b[0m",
            "Basic ",
            "$argon2",
        ),
    ],
)
def test_time_is_linear_in_the_length(piece):
    """The log contains the path of a request, which a client chooses: up to 64 KiB."""

    def seconds(length):
        text = piece * (length // len(piece))
        started = time.process_time()
        redact(text)
        return time.process_time() - started

    seconds(100)
    assert min(seconds(64_000) for _ in range(3)) < 40 * min(seconds(8_000) for _ in range(3)) + 0.05
