"""Allows equal names of test modules in all services, and distributes the tests to the processes of `make
test`.

pytest names a test module after its path, such as orders.tests.test_models. The packages are imported first,
so that those names do not hide them.
"""

from contextlib import suppress
from importlib import import_module

import pytest
from xdist.scheduler import LoadFileScheduling

for package in ("auth", "tickets", "orders", "payments", "expiration", "client"):
    with suppress(ModuleNotFoundError):  # the tests of a service run without the other services
        import_module(package)

_SITE = "infra/tests/browser"


class _Scheduling(LoadFileScheduling):
    """By file, but all tests of the site together, because they share one stack and one browser."""

    def _split_scope(self, nodeid: str) -> str:
        return _SITE if nodeid.startswith(_SITE) else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadFileScheduling:
    return _Scheduling(config, log)
