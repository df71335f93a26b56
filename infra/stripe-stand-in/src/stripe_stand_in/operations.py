"""The operations of the API: each reads objects, applies pure functions and stores the results.

An operation runs inside one transaction. Every endpoint is here; everything else is an error.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from stripe_stand_in import cards, charges, parameters, payment_intents
from stripe_stand_in.api_keys import Caller
from stripe_stand_in.errors import ApiError, Json, resource_missing
from stripe_stand_in.events import Cause, EventLog
from stripe_stand_in.parameters import Expandable, Params
from stripe_stand_in.payment_methods import SPENT, Method, create_method, find_method
from stripe_stand_in.store import END, Store, Stored

_INTENT = "payment_intent"
_INTENTS = "/v1/payment_intents"
_REFUND_DELAY = 0.3
"""Seconds until the bank reports the final result of a refund."""
_MIN_AMOUNT, _MAX_AMOUNT = 50, 99_999_999
"""Cents."""
_PARAM_OF_ID = {_INTENT: "intent", "charge": "charge", "payment_method": "payment_method"}
"""How Stripe's errors name the id in the path, if not `id`."""


@dataclass(frozen=True)
class Call:
    store: Store
    events: EventLog
    now: int
    caller: Caller
    object_id: str
    """From the path; empty if the path has none."""
    cause: Cause

    def record(self, kind: str, body: Json) -> None:
        self.events.record(kind, body, self.cause)

    def get(self, kind: str) -> Json:
        """The object of the path."""
        stored = self.store.get(kind, self.object_id)
        if stored is None:
            param = _PARAM_OF_ID.get(kind, "id")
            raise resource_missing(kind, self.object_id, param=param, status=404)
        return stored.body


class Endpoint(NamedTuple):
    method: str
    path: str
    params: type[Expandable]
    operation: Callable[[Call, Any], Json]
    caller: Caller
    """Who may call it, at least."""


ENDPOINTS: list[Endpoint] = []
_Operation = Callable[[Call, Params], Json]


def endpoint(
    method: str, path: str, params: type[Params], caller: Caller = Caller.SERVER
) -> Callable[[_Operation[Params]], _Operation[Params]]:
    def register(operation: _Operation[Params]) -> _Operation[Params]:
        ENDPOINTS.append(Endpoint(method, path, params, operation, caller))
        return operation

    return register


def _retrieve(call: Call, _: Expandable, kind: str) -> Json:
    return call.get(kind)


for _kind in ("charge", "dispute", "event", "payment_method", "refund"):
    endpoint("GET", f"/v1/{_kind}s/{{id}}", Expandable)(partial(_retrieve, kind=_kind))


@endpoint("POST", _INTENTS, parameters.CreateIntent)
def create_intent(call: Call, params: parameters.CreateIntent) -> Json:
    if params.automatic_payment_methods and params.payment_method_types:
        raise _at_most_one("automatic_payment_methods", "payment_method_types")
    currency = params.currency.lower()
    if currency != "usd":
        raise ApiError("invalid_currency", currency=currency)
    if params.amount < _MIN_AMOUNT:
        raise ApiError("amount_too_small")
    if params.amount > _MAX_AMOUNT:
        raise ApiError("amount_too_large")
    if params.payment_method_types not in (None, ["card"]):
        raise ApiError("invalid_type")
    if params.use_stripe_sdk is not None and not params.confirm:
        raise ApiError("only_with_confirm", param="use_stripe_sdk")
    # Never before the newest intent, so that `created` and `seq` have the same order.
    created = max(call.now, call.store.last_created(_INTENT))
    intent = payment_intents.new_intent(params, created)
    call.store.insert(intent)
    call.record("payment_intent.created", intent)
    if params.confirm:
        return _confirm(call, intent, params)
    if method := _given_method(call, params):
        intent = {**intent, "payment_method": method.body["id"], "status": "requires_confirmation"}
        call.store.replace(intent)
    return intent


@endpoint("GET", _INTENTS, parameters.List)
def list_intents(call: Call, params: parameters.List) -> Json:
    return _list(call, params, _INTENT, _INTENTS)


@endpoint("GET", f"{_INTENTS}/{{id}}", parameters.RetrieveIntent, Caller.BROWSER)
def retrieve_intent(call: Call, params: parameters.RetrieveIntent) -> Json:
    intent = call.get(_INTENT)
    if params.client_secret is not None:
        payment_intents.require_client_secret(intent, params.client_secret)
    elif call.caller != Caller.SERVER:
        raise ApiError("missing", param="client_secret")
    return intent


@endpoint("POST", f"{_INTENTS}/{{id}}/confirm", parameters.ConfirmIntent)
def confirm_intent(call: Call, params: parameters.ConfirmIntent) -> Json:
    intent = call.get(_INTENT)
    payment_intents.require_state(intent, "confirmed")
    return _confirm(call, intent, params)


@endpoint("POST", f"{_INTENTS}/{{id}}/capture", parameters.CaptureIntent)
def capture_intent(call: Call, params: parameters.CaptureIntent) -> Json:
    intent = call.get(_INTENT)
    payment_intents.require_state(intent, "captured")
    charge, card_outcome, _ = _load(call.store, "charge", intent["latest_charge"])
    amount = params.amount_to_capture or intent["amount_capturable"]
    intent, charge = payment_intents.capture(intent, charge, amount)
    call.store.replace(charge)
    call.store.replace(intent)
    call.record("charge.captured", charge)
    call.record("payment_intent.succeeded", intent)
    _dispute_if_planned(call, charge, card_outcome)
    return intent


@endpoint("POST", f"{_INTENTS}/{{id}}/cancel", parameters.CancelIntent)
def cancel_intent(call: Call, params: parameters.CancelIntent) -> Json:
    before = call.get(_INTENT)
    payment_intents.require_state(before, "canceled")
    intent = payment_intents.cancel(before, params, call.now)
    if before["status"] == "requires_capture":
        charge = _load(call.store, "charge", intent["latest_charge"]).body
        call.store.replace({**charge, "amount_refunded": charge["amount"], "refunded": True})
    call.store.replace(intent)
    call.record("payment_intent.canceled", intent)
    return intent


# The client secret is enough: the endpoint needs no key.
@endpoint("POST", f"{_INTENTS}/{{id}}/_authenticate", parameters.AuthenticateIntent, Caller.ANYBODY)
def authenticate_intent(call: Call, params: parameters.AuthenticateIntent) -> Json:
    """What the buyer does at the bank in Stripe.js. The real Stripe has no such call."""
    intent = call.get(_INTENT)
    payment_intents.require_client_secret(intent, params.client_secret)
    payment_intents.require_state(intent, "authenticated")
    method = find_method(call.store, intent["payment_method"], call.now)
    if not params.success:
        intent = payment_intents.fail_authentication(intent, method.body)
        call.store.replace(intent)
        call.record("payment_intent.payment_failed", intent)
        return intent
    outcome = cards.AFTER_AUTHENTICATION[method.outcome]
    result = payment_intents.authorise(intent, method.body, outcome, call.now)
    # A decline is no error of this call: the answer is 200.
    return _store(call, result, method, outcome)


@endpoint("POST", "/v1/payment_methods", parameters.CreateMethod, Caller.BROWSER)
def create_payment_method(call: Call, params: parameters.CreateMethod) -> Json:
    return create_method(call.store, params.card, call.now, "card").body


@endpoint("POST", "/v1/refunds", parameters.CreateRefund)
def create_refund(call: Call, params: parameters.CreateRefund) -> Json:
    stored = call.store.get(_INTENT, params.payment_intent)
    if stored is None:
        raise resource_missing(_INTENT, params.payment_intent, param="payment_intent")
    if stored.body["status"] != "succeeded":
        raise ApiError("nothing_to_refund", id=params.payment_intent)
    charge, card_outcome, _ = _load(call.store, "charge", stored.body["latest_charge"])
    amount = charges.refundable_amount(charge, params)
    created = max(call.now, call.store.last_created("refund"))
    refund = charges.new_refund(charge, amount, params, card_outcome, created)
    call.store.insert(refund, link=refund["payment_intent"])
    charge = charges.refund_charge(charge, amount)
    call.store.replace(charge)
    call.record("refund.created", refund)
    call.record("charge.refunded", charge)
    if result := charges.DELAYED_RESULTS.get(card_outcome):
        now = time.time()
        call.store.add_chore(now + _REFUND_DELAY, result, refund["id"], now)
    return refund


def finish_refund(store: Store, events: EventLog, refund_id: str, result: str) -> None:
    """The bank reports the final result of a refund, one of charges.DELAYED_RESULTS."""
    refund, cause = _load(store, "refund", refund_id).body, Cause()
    if result == charges.FAIL_REFUND:
        refund = {**refund, "failure_reason": "expired_or_canceled_card", "status": "failed"}
        charge = _load(store, "charge", refund["charge"]).body
        store.replace(charges.refund_charge(charge, -refund["amount"]))
        events.record("refund.failed", refund, cause)
    else:
        refund = {**refund, "status": "succeeded"}
    store.replace(refund)
    events.record("refund.updated", refund, cause)
    events.record("charge.refund.updated", refund, cause)


@endpoint("GET", "/v1/refunds", parameters.ListRefunds)
def list_refunds(call: Call, params: parameters.ListRefunds) -> Json:
    return _list(call, params, "refund", "/v1/refunds", params.payment_intent)


@endpoint("GET", "/v1/events", parameters.ListEvents)
def list_events(call: Call, params: parameters.ListEvents) -> Json:
    return _list(call, params, "event", "/v1/events", params.type)


def _list(call: Call, params: parameters.List, kind: str, url: str, link: str | None = None) -> Json:
    after, before = _seqs_created(call.store, kind, params.created)
    if params.starting_after is not None:
        last = call.store.get(kind, params.starting_after)
        if last is None:
            raise resource_missing(kind, params.starting_after, param="starting_after")
        before = min(before, last.seq)
    found = call.store.page(kind, after, before, params.limit + 1, link)
    return {
        "object": "list",
        "data": found[: params.limit],
        "has_more": len(found) > params.limit,
        "url": url,
    }


def _seqs_created(store: Store, kind: str, created: parameters.Period) -> tuple[int, int]:
    """The seqs between which are the objects created in this period."""
    since = [at + more for at, more in ((created.gte, 0), (created.gt, 1)) if at is not None]
    until = [at + more for at, more in ((created.lt, 0), (created.lte, 1)) if at is not None]
    after = store.first_since(kind, max(since)) - 1 if since else 0
    before = store.first_since(kind, min(until)) if until else END
    return after, before


def _given_method(call: Call, params: parameters.ConfirmIntent) -> Method | None:
    if params.payment_method and params.payment_method_data:
        raise _at_most_one("payment_method", "payment_method_data")
    if params.payment_method:
        return find_method(call.store, params.payment_method, call.now)
    if params.payment_method_data:
        return create_method(
            call.store, params.payment_method_data.card, call.now, "payment_method_data[card]"
        )
    return None


def _at_most_one(*names: str) -> ApiError:
    return ApiError("at_most_one", names=", ".join(names), param=names[0])


def _confirm(call: Call, intent: Json, params: parameters.ConfirmIntent) -> Json:
    method = _given_method(call, params)
    if method is None:
        if intent["payment_method"] is None:
            raise ApiError("no_payment_method", details={"payment_intent": intent})
        method = find_method(call.store, intent["payment_method"], call.now)
    result = payment_intents.confirm(intent, method, call.now)
    intent = _store(call, result, method, method.outcome)
    if result.error is not None:
        raise result.error
    return intent


def _store(call: Call, result: payment_intents.Result, method: Method, card_outcome: str) -> Json:
    """Stores the result of a confirmation. The charge keeps the outcome of its card for later."""
    intent, charge, error = result
    call.store.replace(intent)
    if charge is None:
        call.record("payment_intent.requires_action", intent)
        return intent
    call.store.insert(charge, card_outcome)
    if error is not None:
        call.record("charge.failed", charge)
        call.record("payment_intent.payment_failed", intent)
        return intent
    call.store.replace(method.body, SPENT)
    call.record("charge.succeeded", charge)
    if charge["captured"]:
        call.record("payment_intent.succeeded", intent)
        _dispute_if_planned(call, charge, card_outcome)
    else:
        call.record("payment_intent.amount_capturable_updated", intent)
    return intent


def _dispute_if_planned(call: Call, charge: Json, card_outcome: str) -> None:
    if card_outcome == cards.DISPUTED:
        dispute = charges.new_dispute(charge, call.now)
        call.store.insert(dispute)
        call.store.replace({**charge, "disputed": True})
        call.record("charge.dispute.created", dispute)


def _load(store: Store, kind: str, object_id: str) -> Stored:
    """An object that another object refers to."""
    stored = store.get(kind, object_id)
    assert stored is not None
    return stored
