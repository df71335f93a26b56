"""The whole market for its tests: the parts of `make up`, driven through the ingress."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from market import Market

from ticketing_local.testing import running_stack


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def market(tmp_path_factory) -> AsyncIterator[Market]:
    """A market whose orders expire after 4 seconds; at the end of the module its money must agree."""
    folder: Path = tmp_path_factory.mktemp("market")
    async with running_stack(folder, expiration_window_seconds=4) as stack:
        market = Market(stack)
        yield market
        await market.check_money()
        await market.close()
