"""The dead letters of a test's database."""

from typing import Any

import pytest

from ticketing_common.messaging.dead_letters import DeadLetters


@pytest.fixture
def letters(database: Any) -> DeadLetters:
    return DeadLetters(database)
