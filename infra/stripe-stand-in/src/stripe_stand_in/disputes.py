"""Owns the Dispute: a buyer who tells the bank that the charge was not theirs."""

from stripe_stand_in.errors import Json
from stripe_stand_in.ids import new_id

_EVIDENCE: Json = dict.fromkeys(
    """access_activity_log billing_address cancellation_policy cancellation_policy_disclosure
    cancellation_rebuttal customer_communication customer_email_address customer_name customer_purchase_ip
    customer_signature duplicate_charge_documentation duplicate_charge_explanation duplicate_charge_id
    product_description receipt refund_policy refund_policy_disclosure refund_refusal_explanation service_date
    service_documentation shipping_address shipping_carrier shipping_date shipping_documentation
    shipping_tracking_number uncategorized_file uncategorized_text""".split()  # noqa: SIM905 - one name a line would bury the rest
)
_A_WEEK = 7 * 24 * 3600


def new(charge: Json, now: int) -> Json:
    return {
        "id": new_id("dp_"),
        "object": "dispute",
        "amount": charge["amount_captured"],
        "balance_transactions": [],
        "charge": charge["id"],
        "created": now,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {**_EVIDENCE, "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": now + _A_WEEK,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "reason": "fraudulent",
        "status": "needs_response",
    }
