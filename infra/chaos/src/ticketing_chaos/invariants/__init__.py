"""The invariants of the ticket market. Each check yields the violations that it finds in a snapshot."""

from ticketing_chaos.invariants import responses, stored
from ticketing_chaos.invariants.idempotency import forms_take_effect_once
from ticketing_chaos.snapshot import Snapshot, Violation

_CHECKS = (
    stored.each_ticket_has_one_live_order,
    stored.each_version_has_one_event,
    stored.read_models_agree,
    stored.unpaid_orders_expire_in_time,
    stored.payments_match_orders,
    stored.nothing_is_pending,
    responses.acknowledged_writes_are_kept,
    responses.errors_are_expected,
    responses.responses_show_published_versions,
    responses.reads_never_go_back,
    responses.known_documents_are_found,
    forms_take_effect_once,
)


def find_violations(snapshot: Snapshot) -> dict[str, list[Violation]]:
    """The violations of each invariant that is violated."""
    found = {check.__name__.replace("_", " "): list(check(snapshot)) for check in _CHECKS}
    return {name: violations for name, violations in found.items() if violations}
