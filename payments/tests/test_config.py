"""The settings of Stripe: each key has its format, and a key in the place of another is rejected."""

import pytest

from payments.config import Settings
from ticketing_common.config import load_settings

GOOD = {
    "MONGO_URI": "mongodb://127.0.0.1:27017/payments",
    "NATS_URL": "nats://127.0.0.1:4222",
    "JWT_KEY": "key-of-the-settings-test",
    "STRIPE_KEY": "sk_test_0123",
    "STRIPE_PUBLISHABLE_KEY": "pk_test_0123",
    "STRIPE_WEBHOOK_SECRET": "whsec_0123",
}


@pytest.fixture
def start(monkeypatch):
    def start(**changes):
        for name, value in (GOOD | changes).items():
            monkeypatch.setenv(name, value)
        return load_settings(Settings, "payments")

    return start


@pytest.mark.parametrize("key", ["sk_test_0123", "sk_live_0123", "rk_test_0123", "rk_live_0123"])
def test_white_space_around_keys_is_removed(start, key):
    settings = start(
        STRIPE_KEY=f"{key}\n",
        STRIPE_PUBLISHABLE_KEY=" pk_live_0123\n",
        STRIPE_WEBHOOK_SECRET="whsec_1 ,whsec_2\n",
    )
    assert settings.stripe_key == key
    assert settings.stripe_publishable_key == "pk_live_0123"
    assert settings.stripe_webhook_secret == ["whsec_1", "whsec_2"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STRIPE_KEY", "pk_test_0hidden"),
        ("STRIPE_KEY", "whsec_0hidden"),
        ("STRIPE_KEY", '"sk_test_0hidden"'),
        ("STRIPE_KEY", "sk_test_0\nhidden"),
        ("STRIPE_KEY", "0hidden"),
        ("STRIPE_PUBLISHABLE_KEY", "sk_live_0hidden"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_1,sk_live_0hidden"),
    ],
)
def test_wrong_key_is_rejected_with_its_name_and_without_its_value(start, name, value, capsys):
    with pytest.raises(SystemExit):
        start(**{name: value})
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"payments cannot start: the environment variable {name} is not valid: ")
    assert "hidden" not in line
