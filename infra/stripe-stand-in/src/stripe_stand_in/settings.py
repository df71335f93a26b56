"""Owns the configuration: what the environment says, checked once before anything starts."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

REQUIRED = {
    "PORT": "the port to listen on",
    "DATA_DIR": "the folder that keeps the state",
    "STRIPE_KEY": "the secret key that callers must present",
}
LOG_LEVELS = ("debug", "info", "warning", "error")


class SettingsError(Exception):
    """The environment lacks something, or holds something unusable; the text names the variable."""


@dataclass(frozen=True)
class Settings:
    port: int
    data_dir: Path
    stripe_key: str
    stripe_publishable_key: str | None
    host: str
    log_level: str
    webhook_url: str | None
    webhook_secrets: list[str]


def from_environment(environment: Mapping[str, str]) -> Settings:
    for name, meaning in REQUIRED.items():
        if not environment.get(name):
            raise SettingsError(f"{name} is not set ({meaning})")
    port = environment["PORT"]
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise SettingsError(f"PORT is {port!r}: it must be a number from 1 to 65535")
    log_level = (environment.get("LOG_LEVEL") or "info").lower()
    if log_level not in LOG_LEVELS:
        raise SettingsError(f"LOG_LEVEL is {log_level!r}: it must be one of {', '.join(LOG_LEVELS)}")
    url = environment.get("WEBHOOK_URL")
    signing = [secret.strip() for secret in environment.get("STRIPE_WEBHOOK_SECRET", "").split(",")]
    if bool(url) != any(signing):
        raise SettingsError("WEBHOOK_URL and STRIPE_WEBHOOK_SECRET go together: set both, or neither")
    return Settings(
        port=int(port),
        data_dir=Path(environment["DATA_DIR"]),
        stripe_key=environment["STRIPE_KEY"].strip(),  # as payments does
        stripe_publishable_key=environment.get("STRIPE_PUBLISHABLE_KEY", "").strip() or None,
        host=environment.get("HOST") or "127.0.0.1",
        log_level=log_level,
        webhook_url=url or None,
        webhook_secrets=[secret for secret in signing if secret],
    )
