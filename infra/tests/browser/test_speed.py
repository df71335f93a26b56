"""Pages are small, stand still, and are there at once."""

import pytest
from people import offered
from playwright.async_api import expect

from ticketing_common.testing import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="package")

MEASURE = """
  window.shifted = 0;
  new PerformanceObserver((list) => {
    for (const { value } of list.getEntries()) window.shifted += value;
  }).observe({ type: "layout-shift", buffered: true });
  new PerformanceObserver((list) => {
    window.painted = list.getEntries().at(-1).startTime;
  }).observe({ type: "largest-contentful-paint", buffered: true });
"""
TRANSFERRED = """() => ["navigation", "resource"]
  .flatMap((kind) => performance.getEntriesByType(kind))
  .reduce((sum, { transferSize }) => sum + transferSize, 0)"""


@pytest.mark.parametrize("path", ["/", "/tickets/{id}"])
async def test_a_first_visit_costs_little_and_nothing_jumps(visit, site, path):
    seller = await site.person()
    for number in range(48):
        ticket_id = await offered(seller, f"Opera {number}, stalls, row F")
    painted = []
    for _ in range(3):  # a busy machine can only add to the time
        page = await visit()
        await page.add_init_script(MEASURE)
        await page.goto(path.format(id=ticket_id))
        await wait_until(lambda page=page: page.evaluate("window.painted"))
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        await page.evaluate("document.fonts.ready.then(() => new Promise(requestAnimationFrame))")
        assert await page.evaluate(TRANSFERRED) < 100_000
        assert await page.evaluate("window.shifted") < 0.01
        painted.append(await page.evaluate("window.painted"))
    assert min(painted) < 1000  # ms


async def test_a_second_page_costs_next_to_nothing(visit, site):
    ticket_id = await offered(await site.person(), "Opera")
    page = await visit()
    await page.goto("/")
    await page.goto(f"/tickets/{ticket_id}")
    assert await page.evaluate(TRANSFERRED) < 10_000
