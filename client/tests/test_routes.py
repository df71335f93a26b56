"""The site with every service down."""

import re

import pytest

from client.views import STATIC_VERSION
from ticketing_common.testing import new_user, session

ACCEPT_HTML = {"Accept": "text/html"}
ANNE = new_user()


async def test_front_page_is_shown_while_the_tickets_service_is_down(site):
    response = await site.get("/", headers=ACCEPT_HTML)
    assert response.status_code == 503
    assert "The listings can" in response.text
    assert "data-retry" in response.text  # the page retries by script
    assert "Sign in" in response.text


@pytest.mark.parametrize("path", ["/orders", "/orders/1", "/sales", "/tickets/new", "/tickets/1/edit"])
async def test_signed_out_visitor_is_redirected_to_sign_in_and_back(site, path):
    response = await site.get(path, headers=ACCEPT_HTML)
    assert response.status_code == 303
    assert response.headers["Location"] == f"/auth/signin?next={path}"


async def test_invalid_session_counts_as_signed_out(site):
    response = await site.get("/orders", headers=ACCEPT_HTML | {"Cookie": "session=nonsense"})
    assert response.status_code == 303


async def test_new_ticket_form_keeps_its_input_across_sign_in(site):
    response = await site.post("/tickets/new", data={"title": "A & B?", "price": "$5"})
    assert response.status_code == 303
    assert response.headers["Location"] == (
        "/auth/signin?next=/tickets/new%3Ftitle%3DA%2B%2526%2BB%253F%26price%3D%25245"
    )
    form = await site.get("/tickets/new?title=A+%26+B%3F&price=%245", headers=ACCEPT_HTML | session(ANNE))
    assert 'value="A &amp; B?"' in form.text
    assert 'value="$5"' in form.text


async def test_form_keeps_its_input_but_not_the_password_when_the_service_is_down(site):
    response = await site.post(
        "/tickets/new", data={"title": "Opera", "price": "20"}, headers=ACCEPT_HTML | session(ANNE)
    )
    assert response.status_code == 503
    assert 'value="Opera"' in response.text
    assert "Please try again" in response.text
    response = await site.post("/auth/signin", data={"email": "anne@example.com", "password": "x"})
    assert response.status_code == 503
    assert 'value="anne@example.com"' in response.text
    assert 'value="x"' not in response.text


async def test_form_with_an_unclear_price_is_shown_again(site):
    response = await site.post("/tickets/new", data={"title": "O", "price": "19,99"}, headers=session(ANNE))
    assert response.status_code == 400
    assert 'aria-invalid="true"' in response.text
    assert "such as 19.99" in response.text


async def test_sales_page_is_shown_with_notices_while_services_are_down(site):
    response = await site.get("/sales", headers=ACCEPT_HTML | session(ANNE))
    assert response.status_code == 200
    assert response.text.count("data-retry") == 2


async def test_signing_out_needs_no_service(site):
    response = await site.post("/auth/signout", headers=session(ANNE))
    assert response.status_code == 303
    assert re.search(r"session=.*Max-Age=0", response.headers["Set-Cookie"])


@pytest.mark.parametrize("how", ["signin", "signup"])
async def test_signed_in_visitor_skips_sign_in_and_sign_up(site, how):
    response = await site.get(f"/auth/{how}?next=/orders", headers=session(ANNE))
    assert response.headers["Location"] == "/orders"
    response = await site.get(f"/auth/{how}?next=//evil.example", headers=session(ANNE))
    assert response.headers["Location"] == "/"


async def test_error_is_a_page_for_browsers_and_json_for_scripts(site):
    for path, status in (("/nothing", 404), ("/orders/1", 503)):
        page = await site.get(path, headers=ACCEPT_HTML | session(ANNE))
        assert page.status_code == status
        assert page.headers["Content-Type"].startswith("text/html")
        assert "<h1>" in page.text
        as_json = await site.get(path, headers=session(ANNE))
        assert as_json.status_code == status
        assert as_json.json()["errors"][0]["message"]
        assert as_json.headers["X-Request-ID"]


async def test_form_from_another_site_is_rejected(site):
    response = await site.post("/auth/signout", headers={"Origin": "https://evil.example"})
    assert response.status_code == 403


@pytest.mark.parametrize("path", ["/", "/auth/signin", "/nothing", f"/static/{STATIC_VERSION}/site.css"])
async def test_every_response_has_the_security_headers(site, path):
    response = await site.get(path, headers=ACCEPT_HTML)
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "same-origin"


async def test_pages_are_never_cached_and_static_files_indefinitely(site):
    assert (await site.get("/auth/signin")).headers["Cache-Control"] == "no-store"
    current = await site.get(f"/static/{STATIC_VERSION}/js/site.js")
    assert current.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert current.headers["Content-Type"].startswith("text/javascript")
    other = await site.get("/static/another/js/site.js")
    assert other.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("path", ["../config.py", "..%2fconfig.py", "nothing.css", "js"])
async def test_only_static_files_are_served(site, path):
    assert (await site.get(f"/static/{STATIC_VERSION}/{path}")).status_code == 404


async def test_site_is_alive_and_ready_while_services_are_down(site):
    assert (await site.get("/healthz")).status_code == 200
    assert (await site.get("/readyz")).status_code == 200


async def test_head_has_the_response_of_get_without_the_body(site):
    response = await site.head("/auth/signin", headers=ACCEPT_HTML)
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/html")
    assert response.content == b""


async def test_pages_are_sent_compressed(site):
    response = await site.get("/auth/signin", headers={"Accept-Encoding": "gzip"})
    assert response.headers["Content-Encoding"] == "gzip"
    assert "Sign in" in response.text
