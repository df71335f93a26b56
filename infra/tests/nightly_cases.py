"""Marks the cases of a parametrised test that only `make test-all` and the nightly run include."""

from typing import Any

import pytest


def nightly(*values: Any) -> list[Any]:
    return [pytest.param(value, marks=pytest.mark.nightly) for value in values]
