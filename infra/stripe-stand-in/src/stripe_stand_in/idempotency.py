"""Idempotency keys: the first answer is stored with its effect, and repeated for the same key.

As Stripe documents it, an error before the operation begins (no secret key, a malformed request, a key in
use) is not stored; every other answer is, declines and 500s included.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from stripe_stand_in.errors import ApiError, Json
from stripe_stand_in.store import Store, StoredAnswer

KEEP_SECONDS = 24 * 60 * 60

log = logging.getLogger(__name__)


class Answer(NamedTuple):
    status: int
    body: str
    code: str | None = None
    """Of an error, for the log."""
    original_request: str | None = None
    """The id of the first request, if this answer repeats its answer."""


@contextmanager
def hold_key(keys: set[str], key: str | None) -> Iterator[None]:
    """Rejects other requests with this key until the block ends."""
    if not key:
        yield
        return
    if len(key) > 255:
        raise ApiError("key_too_long")
    if key in keys:
        raise ApiError("key_in_use", key=key)
    keys.add(key)
    try:
        yield
    finally:
        keys.remove(key)


def run_once(
    store: Store, key: str, path: str, params: Json, now: int, request_id: str, operation: Callable[[], Json]
) -> Answer:
    """Runs the operation and stores its answer in the same transaction, or repeats the stored answer."""
    fingerprint = hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()
    with store.transaction():
        stored = store.get_answer(key, now - KEEP_SECONDS)
        if stored is None:
            answer = run(store, operation)
            store.delete_answers(now - KEEP_SECONDS)
            store.put_answer(
                key, now, StoredAnswer(path, fingerprint, request_id, answer.status, answer.body)
            )
            return answer
    if stored.path != path:
        raise ApiError("other_endpoint", path=path, first_path=stored.path, key=key)
    if stored.fingerprint != fingerprint:
        raise ApiError("other_parameters", key=key)
    return Answer(stored.status, stored.body, original_request=stored.request_id)


def run(store: Store, operation: Callable[[], Json]) -> Answer:
    """Runs the operation inside a transaction. An error undoes it, unless the error keeps its effects."""
    try:
        with store.savepoint():
            try:
                return Answer(200, json.dumps(operation()))
            except ApiError as error:
                if not error.keeps_effects:
                    raise
                return answer_error(error)
    except ApiError as error:
        return answer_error(error)
    except Exception:
        log.exception("operation failed")
        return answer_error(ApiError("internal"))


def answer_error(error: ApiError) -> Answer:
    return Answer(error.status, json.dumps(error.body), error.code)
