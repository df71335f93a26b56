"""What the site refuses to run, to show in a frame, to believe, and to keep."""

from html.parser import HTMLParser

import pytest
import pytest_asyncio
from market import ordered, until_held
from people import PASSWORD, button, email_of, heading, link_to, offered
from playwright.async_api import expect

pytestmark = pytest.mark.asyncio(loop_scope="package")

HOSTILE = "<img src=x onerror=alert(1)>\"'&amp;</script><script>alert(2)</script>"
"""A title."""
ELSEWHERE = [
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
    "/tickets/{ticket}",
    "/tickets/{ticket}/edit",
    "/orders",
    "/orders/{order}",
    "/sales",
    "/sales?show=reserved",
    "/auth/signout",
    "/nowhere",
]


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def hostile(site):
    """Somebody who sells a ticket with a hostile title and holds another, and the ids of ticket and order."""
    person = await site.person()
    ticket_id = await offered(person, HOSTILE)
    held_id = await offered(person, HOSTILE)
    held = await ordered(person, held_id)
    await until_held(person, held_id, held["id"])
    return person, {"ticket": ticket_id, "order": held["id"]}


def inline(html):
    """The tags by which a page would run or style something of its own."""
    found = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attributes):
            names = {name for name, _ in attributes}
            runs = any(
                name.startswith("on") or (value or "").startswith("javascript:") for name, value in attributes
            )
            if runs or tag == "style" or "style" in names or (tag == "script" and "src" not in names):
                found.append(self.get_starttag_text())

    Parser().feed(html)
    return found


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_has_a_strict_policy_nothing_inline_and_is_not_kept(hostile, path):
    person, ids = hostile
    answer = await person.get(path.format(**ids), headers={"Accept": "text/html"})
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert ("http" in policy) == (path == "/orders/{order}")  # Stripe, where one pays
    assert inline(answer.text) == []
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "path", ["/", "/auth/signin", "/auth/signup", "/?q=%3Cscript%3Ealert(1)%3C/script%3E"]
)
async def test_so_has_a_page_for_anybody(visit, path):
    page = await visit()
    answer = await page.goto(path)
    assert "script-src 'self';" in answer.headers["content-security-policy"]
    assert inline(await answer.text()) == []


async def test_a_title_is_never_more_than_text(visit, site, hostile):
    person, ids = hostile
    page = await visit(person)
    page.on("dialog", lambda dialog: pytest.fail(f"a script of the title ran: {dialog.message}"))
    for path in ("/", "/orders", "/sales", "/sales?show=reserved"):
        await page.goto(path)
        await expect(link_to(page, HOSTILE).first).to_be_visible()
    await page.goto(f"/tickets/{ids['ticket']}")
    await expect(heading(page, HOSTILE)).to_be_visible()
    assert HOSTILE in await page.title()
    await page.goto(f"/tickets/{ids['ticket']}/edit")
    await expect(page.get_by_label("Title")).to_have_value(HOSTILE)
    await page.goto(f"/orders/{ids['order']}")
    await expect(page.get_by_role("heading", name=HOSTILE)).to_be_visible()

    await page.goto("/")
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    await offered(person, f"{HOSTILE} live")
    await expect(link_to(page, f"{HOSTILE} live")).to_be_visible()
    await page.goto("/?q=" + "%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E")
    await expect(heading(page, "<img src=x onerror=alert(1)>")).to_be_visible()
    assert await page.locator("main img, main script").count() == 0


async def test_a_form_on_another_site_does_nothing(visit, site):
    seller, buyer = await site.person(), await site.person()
    ticket_id = await offered(seller, "Der Vampyr")
    page = await visit(buyer, expecting="status of 403")
    form = (
        f'<form method="post" action="{site.stack.base_url}/tickets/{ticket_id}"><button>Win!</button></form>'
    )
    await page.route("http://evil.example/", lambda route: route.fulfill(body=form, content_type="text/html"))
    await page.goto("http://evil.example/")
    await button(page, "Win!").click()
    await expect(heading(page, "That came from another site")).to_be_visible()
    assert (await buyer.get("/api/orders")).json()["orders"] == []


async def test_a_request_from_another_site_is_refused_even_with_the_session(site, hostile):
    person, ids = hostile
    evil = {"Origin": "https://evil.example"}
    for path, body in (
        ("/api/orders", {"json": {"ticketId": ids["ticket"]}}),
        ("/api/tickets", {"json": {"title": "Opera", "price": 1}}),
        ("/tickets/new", {"data": {"title": "Opera", "price": "1"}}),
        (f"/orders/{ids['order']}", {}),
        ("/auth/signout", {}),
    ):
        assert (await person.post(path, headers=evil, **body)).status_code == 403, path
    assert (await person.get(f"/api/orders/{ids['order']}")).json()["status"] == "created"


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
async def test_signing_in_leads_to_no_other_site(site, hostile, elsewhere):
    person, _ = hostile
    form = {"email": await email_of(person), "password": PASSWORD, "next": elsewhere}
    answer = await person.post("/auth/signin", data=form)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    answer = await person.get("/auth/signin", params={"next": elsewhere})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")


async def test_no_script_can_read_the_session(visit, site):
    person = await site.person()
    page = await visit()
    await page.goto("/auth/signin?next=//evil.example")
    await page.get_by_label("Email").fill(await email_of(person))
    await page.get_by_label("Password").fill(PASSWORD)
    await button(page, "Sign in").click()
    await expect(page.get_by_role("link", name="Sales")).to_be_visible()
    assert page.url == f"{site.stack.base_url}/"
    [cookie] = await page.context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == ("session", True, "Lax")
    assert await page.evaluate("document.cookie") == ""
