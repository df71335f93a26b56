"""Owns the work behind each endpoint: load, apply a pure function, save. It runs inside one transaction."""

from dataclasses import dataclass

from stripe_stand_in import charges, payment_intents, payment_methods
from stripe_stand_in.errors import Json, exclusive, invalid, missing
from stripe_stand_in.payment_methods import SPENT, Method
from stripe_stand_in.store import END, Store

_INTENT = "payment_intent"
_LARGEST = 99_999_999
_CURRENCIES = {"usd": (50, "$"), "eur": (50, "€"), "gbp": (30, "£")}  # the least amount of each
_ONLY_WITH_CONFIRM = ("error_on_requires_action", "off_session", "return_url", "use_stripe_sdk")


@dataclass(frozen=True)
class Call:
    store: Store
    now: int
    params: Json
    object_id: str  # from the path; empty where the path has none
    client_ip: str | None


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
    return _confirm(call, intent) if params.get("confirm") else _with_given_method(call, intent)


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
    return intent


def cancel_intent(call: Call) -> Json:
    before = retrieve_intent(call)
    intent = payment_intents.cancel(before, call.params, call.now)
    if before["status"] == "requires_capture":
        call.store.replace(charges.released(_charge(call, intent["latest_charge"])))
    call.store.replace(intent)
    return intent


def list_intents(call: Call) -> Json:
    params = call.params
    exclusive(params, "starting_after", "ending_before")
    limit = params.get("limit", 10)
    after, before = _created_window(call.store, params.get("created", {}))
    upwards = "ending_before" in params
    if upwards:
        after = max(after, _seq(call, "ending_before"))
    elif "starting_after" in params:
        before = min(before, _seq(call, "starting_after"))
    found = call.store.page(_INTENT, after, before, limit + 1, oldest=upwards)
    data = found[:limit][::-1] if upwards else found[:limit]
    return {"object": "list", "data": data, "has_more": len(found) > limit, "url": "/v1/payment_intents"}


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
    intent, charge, refusal = payment_intents.confirm(intent, method, call.params, call.now)
    call.store.insert(charge)
    call.store.replace(intent)
    if refusal is not None:
        raise refusal
    call.store.replace(method.body, SPENT)
    return intent


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


def _created_window(store: Store, created: int | Json) -> tuple[int, int]:
    """The seqs between which everything was created then; both ends excluded."""
    bounds = {"gte": created, "lte": created} if isinstance(created, int) else created
    since = [bounds[name] + more for name, more in (("gte", 0), ("gt", 1)) if name in bounds]
    until = [bounds[name] + more for name, more in (("lt", 0), ("lte", 1)) if name in bounds]
    after = store.first_since(_INTENT, max(since)) - 1 if since else 0
    before = store.first_since(_INTENT, min(until)) if until else END
    return after, before


def _seq(call: Call, param: str) -> int:
    kept = call.store.get(_INTENT, call.params[param])
    if kept is None:
        raise missing(_INTENT, call.params[param], param=param)
    return kept.seq
