"""Owns the work behind each endpoint: load, apply a pure function, save. It runs inside one transaction."""

import time
from dataclasses import dataclass

from stripe_stand_in import cards, charges, disputes, events, payment_intents, payment_methods, refunds
from stripe_stand_in.errors import Json, exclusive, invalid, missing
from stripe_stand_in.events import Cause, Telling
from stripe_stand_in.keys import Caller
from stripe_stand_in.payment_intents import Outcome
from stripe_stand_in.payment_methods import SPENT, Method
from stripe_stand_in.store import END, Store

_INTENT = "payment_intent"
_SHORTLY = 0.3
"""Seconds until the bank's last word on a refund."""
_LARGEST = 99_999_999
_CURRENCIES = {"usd": (50, "$"), "eur": (50, "€"), "gbp": (30, "£")}  # the least amount of each
_ONLY_WITH_CONFIRM = ("error_on_requires_action", "off_session", "return_url", "use_stripe_sdk")


@dataclass(frozen=True)
class Call:
    store: Store
    now: int
    by: Caller
    params: Json
    object_id: str  # from the path; empty where the path has none
    client_ip: str | None
    cause: Cause
    telling: Telling

    def tell(self, kind: str, body: Json) -> None:
        events.tell(self.store, self.telling, kind, body, self.cause, time.time())


def create_intent(call: Call) -> Json:
    params = call.params
    exclusive(params, "automatic_payment_methods", "payment_method_types")
    currency = params["currency"].lower()
    if currency not in _CURRENCIES:
        known = ", ".join(_CURRENCIES)
        raise invalid(
            f"Invalid currency: {currency}. The stand-in supports these currencies: {known}", param="currency"
        )
    if params.get("payment_method_types", ["card"]) != ["card"]:
        raise invalid(
            "The stand-in supports only the payment method type 'card'.", param="payment_method_types"
        )
    _check_amount(params["amount"], currency)
    for name in _ONLY_WITH_CONFIRM:
        if name in params and not params.get("confirm"):
            unless = "cannot be passed when creating a PaymentIntent unless `confirm` is set to true."
            raise invalid(f"The parameter `{name}` {unless}", param=name)
    # Never older than the newest, so that a list by `created` and a list by age are in the same order.
    created = max(call.now, call.store.last_created(_INTENT))
    intent = payment_intents.new({**params, "currency": currency}, created)
    call.store.insert(intent)
    call.tell("payment_intent.created", intent)
    return _confirm(call, intent) if params.get("confirm") else _with_given_method(call, intent)


def show_intent(call: Call) -> Json:
    intent = retrieve_intent(call)
    if "client_secret" in call.params:
        payment_intents.refuse_stranger(intent, call.params["client_secret"])
    elif call.by != Caller.SERVER:
        message = "Missing required param: client_secret."
        raise invalid(message, param="client_secret", code="parameter_missing")
    return intent


def retrieve_intent(call: Call) -> Json:
    kept = call.store.get(_INTENT, call.object_id)
    if kept is None:
        raise missing(_INTENT, call.object_id, param="intent", status=404)
    return kept.body


def update_intent(call: Call) -> Json:
    intent = payment_intents.update(retrieve_intent(call), call.params)
    if "amount" in call.params:
        _check_amount(call.params["amount"], intent["currency"])
    return _with_given_method(call, intent)


def confirm_intent(call: Call) -> Json:
    intent = retrieve_intent(call)
    payment_intents.refuse_confirm(intent)
    return _confirm(call, payment_intents.update(intent, call.params))


def capture_intent(call: Call) -> Json:
    intent = retrieve_intent(call)
    payment_intents.refuse_capture(intent)
    intent, charge = payment_intents.capture(intent, _charge(call, intent["latest_charge"]), call.params)
    call.store.replace(charge)
    call.store.replace(intent)
    call.tell("charge.captured", charge)
    call.tell("payment_intent.succeeded", intent)
    _dispute_if_planned(call, charge)
    return intent


def authenticate_intent(call: Call) -> Json:
    """What the buyer does at the bank, in Stripe.js: here it is one call, which no real Stripe has."""
    intent = retrieve_intent(call)
    payment_intents.refuse_stranger(intent, call.params["client_secret"])
    payment_intents.refuse_authenticate(intent)
    method = payment_methods.find(call.store, intent["payment_method"], call.now, param="payment_method")
    if not call.params["success"]:
        intent = payment_intents.fail_authentication(intent, method.body)
        call.store.replace(intent)
        call.tell("payment_intent.payment_failed", intent)
        return intent
    outcome = cards.AFTER_AUTHENTICATION[method.outcome]
    decline = cards.DECLINES.get(outcome)
    # A decline is an event at the bank, not a mistake of the buyer who has come back: 200 all the same.
    return _keep(call, payment_intents.charged(intent, method.body, decline, call.now), method, outcome)


def cancel_intent(call: Call) -> Json:
    before = retrieve_intent(call)
    intent = payment_intents.cancel(before, call.params, call.now)
    if before["status"] == "requires_capture":
        call.store.replace(charges.released(_charge(call, intent["latest_charge"])))
    call.store.replace(intent)
    call.tell("payment_intent.canceled", intent)
    return intent


def list_intents(call: Call) -> Json:
    return _list(call, _INTENT, "/v1/payment_intents")


def create_refund(call: Call) -> Json:
    params = call.params
    exclusive(params, "charge", "payment_intent")
    if "payment_intent" in params:
        intent = call.store.get(_INTENT, params["payment_intent"])
        if intent is None:
            raise missing(_INTENT, params["payment_intent"], param="payment_intent")
        if intent.body["status"] != "succeeded":
            message = f"This PaymentIntent ({intent.body['id']}) does not have a successful charge to refund."
            raise invalid(message, param="payment_intent")
        charge_id = intent.body["latest_charge"]
    elif "charge" in params:
        charge_id = params["charge"]
    else:
        raise invalid(
            "One of the following params should be provided for this request: payment_intent or charge."
        )
    kept = call.store.get("charge", charge_id)
    if kept is None:
        raise missing("charge", charge_id, param="charge")
    amount = refunds.refuse(kept.body, params)
    created = max(call.now, call.store.last_created("refund"))
    refund = refunds.new(kept.body, amount, params, kept.hidden, created)
    links = [refund[name] for name in ("charge", "payment_intent")]
    call.store.insert(refund, links=links)
    charge = refunds.gone(kept.body, amount)
    call.store.replace(charge)
    call.tell("refund.created", refund)
    call.tell("charge.refunded", charge)
    if what := refunds.later(kept.hidden):
        now = time.time()
        call.store.put_chore(now + _SHORTLY, what, refund["id"], now)
    return refund


def retrieve_refund(call: Call) -> Json:
    return _retrieve(call, "refund")


def list_refunds(call: Call) -> Json:
    exclusive(call.params, "charge", "payment_intent")
    link = call.params.get("payment_intent") or call.params.get("charge")
    return _list(call, "refund", "/v1/refunds", link)


def retrieve_dispute(call: Call) -> Json:
    return _retrieve(call, "dispute")


def retrieve_event(call: Call) -> Json:
    return _retrieve(call, "event")


def list_events(call: Call) -> Json:
    return _list(call, "event", "/v1/events", call.params.get("type"))


def end_refund(store: Store, telling: Telling, refund_id: str, what: str) -> None:
    """The bank's last word on a refund, some time after it was made."""
    kept = store.get("refund", refund_id)
    assert kept is not None
    now, cause = time.time(), Cause()
    if what == refunds.FAILS:
        refund = refunds.failed(kept.body)
        charge = store.get("charge", refund["charge"])
        assert charge is not None
        store.replace(refunds.gone(charge.body, -refund["amount"]))
        events.tell(store, telling, "refund.failed", refund, cause, now)
    else:
        refund = refunds.succeeded(kept.body)
    store.replace(refund)
    events.tell(store, telling, "refund.updated", refund, cause, now)
    events.tell(store, telling, "charge.refund.updated", refund, cause, now)


def _list(call: Call, kind: str, url: str, link: str | None = None) -> Json:
    params = call.params
    exclusive(params, "starting_after", "ending_before")
    limit = params.get("limit", 10)
    after, before = _created_window(call.store, kind, params.get("created", {}))
    upwards = "ending_before" in params
    if upwards:
        after = max(after, _seq(call, kind, "ending_before"))
    elif "starting_after" in params:
        before = min(before, _seq(call, kind, "starting_after"))
    found = call.store.page(kind, after, before, limit + 1, oldest=upwards, link=link)
    data = found[:limit][::-1] if upwards else found[:limit]
    return {"object": "list", "data": data, "has_more": len(found) > limit, "url": url}


def _retrieve(call: Call, kind: str) -> Json:
    kept = call.store.get(kind, call.object_id)
    if kept is None:
        raise missing(kind, call.object_id, param="id", status=404)
    return kept.body


def retrieve_charge(call: Call) -> Json:
    return _charge(call, call.object_id)


def create_method(call: Call) -> Json:
    return payment_methods.from_data(call.store, call.params, call.now, "card").body


def retrieve_method(call: Call) -> Json:
    return payment_methods.find(call.store, call.object_id, call.now, param="payment_method", status=404).body


def create_token(call: Call) -> Json:
    return payment_methods.new_token(call.store, call.params["card"], call.now, call.client_ip)


def retrieve_token(call: Call) -> Json:
    kept = call.store.get("token", call.object_id)
    if kept is None:
        raise missing("token", call.object_id, param="token", status=404)
    return kept.body


def _confirm(call: Call, intent: Json) -> Json:
    method = _given_method(call)
    if method is None:
        if intent["payment_method"] is None:
            message = (
                "You cannot confirm this PaymentIntent because it's missing a payment method. You can "
                "either update the PaymentIntent with a payment method and then confirm it again, or "
                "confirm it again directly with a payment method or ConfirmationToken."
            )
            raise payment_intents.unexpected_state(intent, message)
        method = payment_methods.find(call.store, intent["payment_method"], call.now, param="payment_method")
    outcome = payment_intents.confirm(intent, method, call.params, call.now)
    intent = _keep(call, outcome, method, method.outcome)
    if outcome.refusal is not None:
        raise outcome.refusal
    return intent


def _keep(call: Call, outcome: Outcome, method: Method, aftermath: str) -> Json:
    """Keep what a confirmation came to, and tell of it; what is to come of the card stays with the charge."""
    intent, charge, refusal = outcome
    call.store.replace(intent)
    if charge is None:
        call.tell("payment_intent.requires_action", intent)
        return intent
    call.store.insert(charge, aftermath)
    if refusal is not None:
        call.tell("charge.failed", charge)
        call.tell("payment_intent.payment_failed", intent)
        return intent
    call.store.replace(method.body, SPENT)
    call.tell("charge.succeeded", charge)
    if charge["captured"]:
        call.tell("payment_intent.succeeded", intent)
        _dispute_if_planned(call, charge)
    else:
        call.tell("payment_intent.amount_capturable_updated", intent)
    return intent


def _dispute_if_planned(call: Call, charge: Json) -> None:
    kept = call.store.get("charge", charge["id"])
    if kept and kept.hidden == cards.DISPUTED:
        dispute = disputes.new(charge, call.now)
        call.store.insert(dispute)
        call.store.replace({**charge, "disputed": True})
        call.tell("charge.dispute.created", dispute)


def _with_given_method(call: Call, intent: Json) -> Json:
    method = _given_method(call)
    if method is not None:
        intent = payment_intents.with_method(intent, method)
    call.store.replace(intent)
    return intent


def _given_method(call: Call) -> Method | None:
    exclusive(call.params, "payment_method", "payment_method_data")
    if "payment_method" in call.params:
        return payment_methods.find(
            call.store, call.params["payment_method"], call.now, param="payment_method"
        )
    if "payment_method_data" in call.params:
        data = call.params["payment_method_data"]
        return payment_methods.from_data(call.store, data, call.now, "payment_method_data[card]")
    return None


def _charge(call: Call, charge_id: str) -> Json:
    kept = call.store.get("charge", charge_id)
    if kept is None:
        raise missing("charge", charge_id, param="charge", status=404)
    return kept.body


def _check_amount(amount: int, currency: str) -> None:
    least, symbol = _CURRENCIES[currency]
    if amount < least:
        message = f"Amount must be at least {symbol}{least / 100:.2f} {currency}"
        raise invalid(message, param="amount", code="amount_too_small")
    if amount > _LARGEST:
        message = f"Amount must be no more than {symbol}{_LARGEST / 100:,.2f}"
        raise invalid(message, param="amount", code="amount_too_large")


def _created_window(store: Store, kind: str, created: int | Json) -> tuple[int, int]:
    """The seqs between which everything was created then; both ends excluded."""
    bounds = {"gte": created, "lte": created} if isinstance(created, int) else created
    since = [bounds[name] + more for name, more in (("gte", 0), ("gt", 1)) if name in bounds]
    until = [bounds[name] + more for name, more in (("lt", 0), ("lte", 1)) if name in bounds]
    after = store.first_since(kind, max(since)) - 1 if since else 0
    before = store.first_since(kind, min(until)) if until else END
    return after, before


def _seq(call: Call, kind: str, param: str) -> int:
    kept = call.store.get(kind, call.params[param])
    if kept is None:
        raise missing(kind, call.params[param], param=param)
    return kept.seq
