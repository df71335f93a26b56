"""What axe finds wrong with a page: nothing, in a wide window in light and on a phone in dark."""

from axe_playwright_python.base import AXE_SCRIPT
from playwright.async_api import Page

WIDE = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
LOOKS = [(WIDE, "light"), (PHONE, "dark")]

# Into Stripe's frame axe cannot look from here; the stand-in's own tests do.
_FIND = """async () => {
  const { violations } = await axe.run(document, { iframes: false, resultTypes: ["violations"] });
  return violations.flatMap(({ id, nodes }) => nodes.map((node) => [id, node.target, node.failureSummary]));
}"""


async def accessible(page: Page) -> None:
    await page.evaluate(AXE_SCRIPT)
    # What the sizes have in common is where things are, and what the colours have is which they are.
    for size, scheme in LOOKS:
        await page.set_viewport_size(size)
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        assert await page.evaluate(_FIND) == [], f"{page.url}, {scheme}, {size['width']} wide"
