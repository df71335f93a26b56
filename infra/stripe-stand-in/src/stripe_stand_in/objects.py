"""Creates Stripe's objects from the templates in objects.json."""

import json
import secrets
import string
from pathlib import Path
from typing import Any

from stripe_stand_in.errors import Json

TEMPLATES: dict[str, Json] = json.loads((Path(__file__).parent / "objects.json").read_text())
"""By kind. A template's id is the prefix of the ids. No code changes a template or an object in place."""
_ALPHABET = string.ascii_letters + string.digits


def new_id(prefix: str) -> str:
    """Looks like an id of Stripe's, and cannot be guessed."""
    return prefix + "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in secrets.token_bytes(24))


def new_object(kind: str, created: int, **fields: Any) -> Json:
    """A field that is not given has the value of the template."""
    template = TEMPLATES[kind]
    return {**template, **fields, "id": new_id(template["id"]), "created": created}
