"""The checker: every check of every promise against the evidence."""

from collections.abc import Callable, Iterator

from ticketing_chaos.answer_checks import (
    acknowledged_writes_are_there,
    answers_are_right,
    time_does_not_go_back,
)
from ticketing_chaos.certainty_checks import each_form_takes_effect_once, what_exists_is_never_unknown
from ticketing_chaos.data_checks import (
    each_version_has_one_event,
    money_agrees,
    nothing_is_left_over,
    one_live_order,
    orders_expire_in_time,
    replicas_agree,
)
from ticketing_chaos.evidence import Evidence
from ticketing_chaos.violation import Violation

CHECKS: list[Callable[[Evidence], Iterator[Violation]]] = [
    one_live_order,
    acknowledged_writes_are_there,
    each_version_has_one_event,
    replicas_agree,
    orders_expire_in_time,
    money_agrees,
    nothing_is_left_over,
    answers_are_right,
    time_does_not_go_back,
    each_form_takes_effect_once,
    what_exists_is_never_unknown,
]


def violations(evidence: Evidence) -> list[Violation]:
    return [violation for check in CHECKS for violation in check(evidence)]
