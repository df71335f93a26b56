"""A visitor without a mouse, who must see at every moment where they are."""

from playwright.async_api import Locator, Page

from ticketing_common.testing import wait_until

_SHOWS_FOCUS = """() => {
  // The card of a ticket and the box of the card form show it for what is inside.
  const at = document.activeElement;
  const style = getComputedStyle(at.closest(".card, .input") ?? at);
  return (style.outlineStyle !== "none" && style.outlineWidth !== "0px") || style.boxShadow !== "none";
}"""


async def tab_to(page: Page, wanted: Locator, at_most: int = 30) -> None:
    """Press Tab until the focus is there."""
    for _ in range(at_most):
        await page.keyboard.press("Tab")
        # Of what is in a frame the page hears a moment later.
        await wait_until(lambda: page.evaluate(_SHOWS_FOCUS), 1)
        if await wanted.evaluate("(node) => node === document.activeElement"):
            return
    raise AssertionError(f"{at_most} times Tab did not lead to {wanted}")
