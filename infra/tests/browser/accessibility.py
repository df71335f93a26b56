"""Accessibility checks with axe, in a wide light window and on a dark phone."""

from typing import Literal

from axe_playwright_python.base import AXE_SCRIPT
from playwright.async_api import Page, ViewportSize

WIDE: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}
# Sizes differ only in the layout and schemes only in the colours, so two combinations cover all four.
COMBINATIONS: list[tuple[ViewportSize, Literal["light", "dark"]]] = [(WIDE, "light"), (PHONE, "dark")]

# Without frames: axe cannot access Stripe's. The tests of the stand-in check that frame.
_FIND_VIOLATIONS = """async () => {
  const { violations } = await axe.run(document, { iframes: false, resultTypes: ["violations"] });
  return violations.flatMap(({ id, nodes }) => nodes.map((node) => [id, node.target, node.failureSummary]));
}"""


async def check_accessibility(page: Page) -> None:
    await page.evaluate(AXE_SCRIPT)
    for size, scheme in COMBINATIONS:
        await page.set_viewport_size(size)
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        violations = await page.evaluate(_FIND_VIOLATIONS)
        assert violations == [], f"{page.url}, {scheme}, {size['width']} wide"
