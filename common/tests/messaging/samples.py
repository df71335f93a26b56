"""Reads metrics of this process."""

from prometheus_client import REGISTRY

from ticketing_common.testing import wait_until


def read_sample(metric: str, **labels: str) -> float:
    value = REGISTRY.get_sample_value(metric, labels)
    assert value is not None, f"there is no sample of {metric} with {labels}"
    return value


async def wait_for_sample(metric: str, value: float, **labels: str) -> None:
    """Waits until the metric has this value."""

    async def has_value() -> bool:
        return REGISTRY.get_sample_value(metric, labels) == value

    await wait_until(has_value)
