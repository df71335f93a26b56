"""Lets every service call its tests by the same names.

pytest names a test module after its path, orders.tests.test_models say. The real packages are imported
first, lest the folders take their names.
"""

from contextlib import suppress
from importlib import import_module

for package in ("auth", "tickets", "orders", "payments", "expiration", "client"):
    with suppress(ModuleNotFoundError):  # a service's tests run without the other services
        import_module(package)
