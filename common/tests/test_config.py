"""Settings: an error names the variable and never prints the value; white space around a value is removed."""

import pytest

from ticketing_common.config import MongoSettings, NatsSettings, RedisUrl, SessionSettings, load_settings
from ticketing_common.observability.redaction import redact


class AllSettings(MongoSettings, NatsSettings, SessionSettings):
    redis_url: RedisUrl


VALID = {
    "MONGO_URI": "mongodb://127.0.0.1:27017/orders",
    "NATS_URL": "nats://127.0.0.1:4222",
    "JWT_KEY": "key-of-the-settings-test",
    "REDIS_URL": "redis://127.0.0.1:6379/0",
}


@pytest.fixture
def start(monkeypatch):
    """Loads the settings from valid variables with these changes."""

    def start(**changes):
        for name, value in (VALID | changes).items():
            monkeypatch.setenv(name, value)
        return load_settings(AllSettings, "orders")

    return start


def test_white_space_around_a_value_is_removed(start):
    padded = start(**{name: f" {value}\n" for name, value in VALID.items()} | {"LOG_LEVEL": "debug"})
    assert padded == start(LOG_LEVEL="debug")
    assert start(JWT_KEY=" first-key , second-key\n").jwt_key == ["first-key", "second-key"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MONGO_URI", "mongodb://me:hidden-word@db.example/"),
        ("MONGO_URI", "mongodb://me:hidden-word@db.example"),
        ("MONGO_URI", "mongodb://me:hidden-word@db.example/or\nders"),
        ("MONGO_URI", "mongodb://me:hidden-word@db.example/or%0Aders"),
        ("MONGO_URI", "mongodb://me:hidden-word@db.example/or ders"),
        ("MONGO_URI", "mongodb://me:hidden/word@db.example/orders"),
        ("MONGO_URI", "postgres://me:hidden-word@db.example/orders"),
        ("MONGO_URI", '"mongodb://me:hidden-word@db.example/orders"'),
        ("NATS_URL", "http://me:hidden-word@nats"),
        ("NATS_URL", "hidden-word"),
        ("REDIS_URL", "redis//me:hidden-word@redis:6379"),
        ("REDIS_URL", "redis://me:hidden-word@redis:6379/zero"),
        ("JWT_KEY", "hidden-\nword"),
        ("JWT_KEY", "good-enough-key,hidden-\x01word"),
        ("JWT_KEY", " , \n"),
        ("PORT", "hidden-word"),
    ],
)
def test_error_names_the_invalid_variable_and_does_not_print_its_value(start, name, value, capsys):
    with pytest.raises(SystemExit) as stop:
        start(**{name: value})
    assert stop.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"orders cannot start: the environment variable {name} is not valid: ")
    assert "hidden" not in line
    assert "word" not in line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MONGO_URI", "mongodb://me:hidden-word@a:1,b:2/orders?replicaSet=rs0&authSource=admin"),
        ("MONGO_URI", "mongodb+srv://me:hidden-word@db.example/orders"),
        ("MONGO_URI", "mongodb://me:hidden-word@[::1]:27017/test-orders_1"),
        ("NATS_URL", "nats://hidden-word@nats-0:4222,nats://nats-1:4222"),
        ("NATS_URL", "tls://me:hidden-word@nats.example"),
        ("REDIS_URL", "rediss://:hidden-word@redis.example:6379"),
        ("JWT_KEY", "hidden-word"),
    ],
)
def test_loaded_passwords_are_hidden_in_representations_and_output(start, name, value):
    settings = start(**{name: value})
    assert getattr(settings, name.lower()) in (value, [value])
    assert "hidden-word" not in repr(settings)
    assert "hidden-word" not in redact("it failed with hidden-word in it")


def test_missing_variable_is_named_and_ends_the_process(monkeypatch, capsys):
    monkeypatch.setenv("JWT_KEY", " , ")
    with pytest.raises(SystemExit):
        load_settings(SessionSettings, "orders")
    assert "JWT_KEY" in capsys.readouterr().err
