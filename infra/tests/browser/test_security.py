"""Scripts in titles, requests from other sites, open redirects, and the security headers of pages."""

from html.parser import HTMLParser

import pytest
import pytest_asyncio
from api_calls import list_ticket, place_order, wait_for_reservation
from browser.site_pages import (
    PASSWORD,
    button,
    expect_live,
    fill_account_form,
    get_email,
    heading,
    ticket_link,
)
from playwright.async_api import expect

pytestmark = pytest.mark.asyncio(loop_scope="package")

HOSTILE_TITLE = "<img src=x onerror=alert(1)>\"'&amp;</script><script>alert(2)</script>"
OTHER_SITES = [
    "//evil.example",
    "https://evil.example",
    "/\\evil.example",
    "/\t/evil.example",
    "javascript:alert(1)",
]
PAGES = [
    "/",
    "/?q=opera",
    "/tickets/new",
    "/tickets/{ticket_id}",
    "/tickets/{ticket_id}/edit",
    "/orders",
    "/orders/{order_id}",
    "/sales",
    "/sales?show=reserved",
    "/auth/signout",
    "/nowhere",
]


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def hostile_tickets(site):
    """A user with a ticket for sale and an order of another, both with a hostile title; and their ids."""
    user = await site.sign_up()
    ticket_id = await list_ticket(user, HOSTILE_TITLE)
    ordered_id = await list_ticket(user, HOSTILE_TITLE)
    order_id = (await place_order(user, ordered_id))["id"]
    await wait_for_reservation(user, ordered_id, order_id)
    return user, {"ticket_id": ticket_id, "order_id": order_id}


def find_inline_code(html):
    """The start tags with inline scripts or styles."""
    found = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attributes):
            names = {name for name, _ in attributes}
            has_script = any(
                name.startswith("on") or (value or "").startswith("javascript:") for name, value in attributes
            )
            if has_script or tag == "style" or "style" in names or (tag == "script" and "src" not in names):
                found.append(self.get_starttag_text())

    Parser().feed(html)
    return found


@pytest.mark.parametrize("path", PAGES)
async def test_page_has_a_strict_policy_and_no_inline_code_and_is_not_cached(hostile_tickets, path):
    user, ids = hostile_tickets
    response = await user.get(path.format(**ids), headers={"Accept": "text/html"})
    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert ("http" in policy) == (path == "/orders/{order_id}")  # Stripe's host
    assert find_inline_code(response.text) == []
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "path", ["/", "/auth/signin", "/auth/signup", "/?q=%3Cscript%3Ealert(1)%3C/script%3E"]
)
async def test_page_of_an_anonymous_visitor_has_a_strict_policy_and_no_inline_code(open_page, path):
    page = await open_page()
    response = await page.goto(path)
    assert "script-src 'self';" in response.headers["content-security-policy"]
    assert find_inline_code(await response.text()) == []


async def test_title_is_shown_as_text_only(open_page, site, hostile_tickets):
    user, ids = hostile_tickets
    page = await open_page(user)
    page.on("dialog", lambda dialog: pytest.fail(f"a script in the title ran: {dialog.message}"))
    for path in ("/", "/orders", "/sales", "/sales?show=reserved"):
        await page.goto(path)
        await expect(ticket_link(page, HOSTILE_TITLE).first).to_be_visible()
    await page.goto(f"/tickets/{ids['ticket_id']}")
    await expect(heading(page, HOSTILE_TITLE)).to_be_visible()
    assert HOSTILE_TITLE in await page.title()
    await page.goto(f"/tickets/{ids['ticket_id']}/edit")
    await expect(page.get_by_label("Title")).to_have_value(HOSTILE_TITLE)
    await page.goto(f"/orders/{ids['order_id']}")
    await expect(page.get_by_role("heading", name=HOSTILE_TITLE)).to_be_visible()

    await page.goto("/")
    await expect_live(page)
    await list_ticket(user, f"{HOSTILE_TITLE} live")
    await expect(ticket_link(page, f"{HOSTILE_TITLE} live")).to_be_visible()
    await page.goto("/?q=" + "%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E")
    await expect(heading(page, "<img src=x onerror=alert(1)>")).to_be_visible()
    assert await page.locator("main img, main script").count() == 0


async def test_form_on_another_site_is_rejected(open_page, site):
    seller, buyer = await site.sign_up(), await site.sign_up()
    ticket_id = await list_ticket(seller, "Der Vampyr")
    page = await open_page(buyer, allowed_errors="status of 403")
    form = f'<form method="post" action="{site.base_url}/tickets/{ticket_id}"><button>Win!</button></form>'
    await page.route("http://evil.example/", lambda route: route.fulfill(body=form, content_type="text/html"))
    await page.goto("http://evil.example/")
    await button(page, "Win!").click()
    await expect(heading(page, "That came from another site")).to_be_visible()
    assert (await buyer.get("/api/orders")).json()["orders"] == []


async def test_request_from_another_site_is_rejected_even_with_a_session(site, hostile_tickets):
    user, ids = hostile_tickets
    headers = {"Origin": "https://evil.example"}
    for path, body in (
        ("/api/orders", {"json": {"ticketId": ids["ticket_id"]}}),
        ("/api/tickets", {"json": {"title": "Opera", "price": 1}}),
        ("/tickets/new", {"data": {"title": "Opera", "price": "1"}}),
        (f"/orders/{ids['order_id']}", {}),
        ("/auth/signout", {}),
    ):
        assert (await user.post(path, headers=headers, **body)).status_code == 403, path
    assert (await user.get(f"/api/orders/{ids['order_id']}")).json()["status"] == "created"


@pytest.mark.parametrize("other_site", OTHER_SITES)
async def test_sign_in_does_not_redirect_to_another_site(site, hostile_tickets, other_site):
    user, _ = hostile_tickets
    form = {"email": await get_email(user), "password": PASSWORD, "next": other_site}
    response = await user.post("/auth/signin", data=form)
    assert (response.status_code, response.headers["Location"]) == (303, "/")
    response = await user.get("/auth/signin", params={"next": other_site})
    assert (response.status_code, response.headers["Location"]) == (303, "/")


async def test_session_cookie_is_not_readable_by_scripts(open_page, site):
    user = await site.sign_up()
    page = await open_page()
    await page.goto("/auth/signin?next=//evil.example")
    await fill_account_form(page, await get_email(user))
    await button(page, "Sign in").click()
    await expect(page.get_by_role("link", name="Sales")).to_be_visible()
    assert page.url == f"{site.base_url}/"
    [cookie] = await page.context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == ("session", True, "Lax")
    assert await page.evaluate("document.cookie") == ""
