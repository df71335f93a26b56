"""Owns idempotency keys: the first answer to a key is kept with its effect, and answers every repetition.

As Stripe documents it: what is refused before the work begins (no secret key, a malformed request, a key in
use) is not kept; everything after that is, a decline and a 500 included. Keys belong to the account, and the
stand-in has exactly one.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from stripe_stand_in.errors import Json, Refusal, api_error, invalid
from stripe_stand_in.store import KeptAnswer, Store

KEEP_SECONDS = 24 * 60 * 60

log = logging.getLogger(__name__)


class Answer(NamedTuple):
    status: int
    body: str
    code: str | None = None  # for the log
    original_request: str | None = None  # set when this is a repetition


@contextmanager
def in_use(keys: set[str], key: str | None) -> Iterator[None]:
    """Hold the key while its first request runs."""
    if not key:
        yield
        return
    if len(key) > 255:
        raise invalid("Invalid idempotency key: a key can have up to 255 characters.")
    if key in keys:
        raise invalid(
            "There is currently another in-progress request using this Idempotent Key (that probably "
            f"means you submitted twice, and the other request is still going through): {key}. Please try "
            "again later.",
            status=409,
            code="idempotency_key_in_use",
        )
    keys.add(key)
    try:
        yield
    finally:
        keys.remove(key)


def once(
    store: Store, key: str, path: str, params: Json, now: int, request_id: str, work: Callable[[], Json]
) -> Answer:
    """Do the work and keep its answer in the same transaction; or repeat the answer kept earlier."""
    fingerprint = hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()
    with store.transaction():
        kept = store.answer_to(key, now - KEEP_SECONDS)
        if kept is None:
            answer = attempt(store, work)
            store.drop_answers(now - KEEP_SECONDS)
            store.keep_answer(key, now, KeptAnswer(path, fingerprint, request_id, answer.status, answer.body))
            return answer
    if kept.path != path:
        only = f"for the same endpoint they were first used for ('{path}' vs '{kept.path}')"
    elif kept.fingerprint != fingerprint:
        only = "with the same parameters they were first used with"
    else:
        return Answer(kept.status, kept.body, original_request=kept.request_id)
    message = (
        f"Keys for idempotent requests can only be used {only}. Try using a key other than '{key}' if you "
        "meant to execute a different request."
    )
    raise Refusal(400, "idempotency_error", message)


def attempt(store: Store, work: Callable[[], Json]) -> Answer:
    """Inside a transaction: do the work, and undo it when it is refused, unless its effects stand."""
    try:
        with store.attempt():
            try:
                return Answer(200, json.dumps(work()))
            except Refusal as refusal:
                if not refusal.stands:
                    raise
                return refused(refusal)
    except Refusal as refusal:
        return refused(refusal)
    except Exception:
        log.exception("the work failed")
        return refused(api_error())


def refused(refusal: Refusal) -> Answer:
    return Answer(refusal.status, json.dumps(refusal.body), refusal.code)
