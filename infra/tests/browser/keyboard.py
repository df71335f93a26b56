"""Keyboard navigation with a visible focus."""

from playwright.async_api import Locator, Page

from ticketing_common.testing import wait_until

_IS_FOCUS_VISIBLE = """() => {
  // The card of a ticket and the box of the card form show the focus of an element inside them.
  const focused = document.activeElement;
  const style = getComputedStyle(focused.closest(".card, .input") ?? focused);
  return (style.outlineStyle !== "none" && style.outlineWidth !== "0px") || style.boxShadow !== "none";
}"""


async def tab_to(page: Page, target: Locator, at_most: int = 30) -> None:
    """Presses Tab until the target has the focus. Fails if the focus is invisible on the way."""
    for _ in range(at_most):
        await page.keyboard.press("Tab")
        # The page detects with a delay that a frame has the focus.
        await wait_until(lambda: page.evaluate(_IS_FOCUS_VISIBLE), 1)
        if await target.evaluate("(node) => node === document.activeElement"):
            return
    raise AssertionError(f"the focus did not reach {target} after {at_most} times Tab")
