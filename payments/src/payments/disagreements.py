"""The alarm for a payment whose records at Stripe and here disagree."""

from payments.metrics import DISAGREEMENTS
from ticketing_common.observability.logs import get_logger

log = get_logger(__name__)


def report_disagreement(event: str, /, **details: object) -> None:
    """Count one disagreement and log it as an error, so that a person looks at it."""
    DISAGREEMENTS.inc()
    log.error(event, **details)
