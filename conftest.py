"""Lets every service call its tests by the same names, and deals the tests out to `make test`'s processes.

pytest names a test module after its path, orders.tests.test_models say. The real packages are imported
first, lest the folders take their names.
"""

from contextlib import suppress
from importlib import import_module

import pytest
from xdist.scheduler import LoadFileScheduling

for package in ("auth", "tickets", "orders", "payments", "expiration", "client"):
    with suppress(ModuleNotFoundError):  # a service's tests run without the other services
        import_module(package)

_SITE = "infra/tests/browser"


class _Scheduling(LoadFileScheduling):
    """By file, but all tests of the site together: they share one market and one browser."""

    def _split_scope(self, nodeid: str) -> str:
        return _SITE if nodeid.startswith(_SITE) else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadFileScheduling:
    return _Scheduling(config, log)
