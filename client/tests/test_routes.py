"""The site by itself: every service is down."""

import re

import pytest

from client.views import VERSION
from ticketing_common.testing import new_user, session

PAGE = {"Accept": "text/html"}
ANNE = new_user()


async def test_the_front_page_stands_while_the_listings_are_down(site):
    answer = await site.get("/", headers=PAGE)
    assert answer.status_code == 503
    assert "The listings can" in answer.text
    assert "data-retry" in answer.text  # it tries again by itself
    assert "Sign in" in answer.text


@pytest.mark.parametrize("path", ["/orders", "/orders/1", "/sales", "/tickets/new", "/tickets/1/edit"])
async def test_who_is_not_signed_in_is_led_to_sign_in_and_back(site, path):
    answer = await site.get(path, headers=PAGE)
    assert answer.status_code == 303
    assert answer.headers["Location"] == f"/auth/signin?next={path}"


async def test_an_expired_session_is_none(site):
    answer = await site.get("/orders", headers=PAGE | {"Cookie": "session=nonsense"})
    assert answer.status_code == 303


async def test_what_was_typed_waits_behind_the_sign_in_page(site):
    answer = await site.post("/tickets/new", data={"title": "A & B?", "price": "$5"})
    assert answer.status_code == 303
    assert answer.headers["Location"] == (
        "/auth/signin?next=/tickets/new%3Ftitle%3DA%2B%2526%2BB%253F%26price%3D%25245"
    )
    form = await site.get("/tickets/new?title=A+%26+B%3F&price=%245", headers=PAGE | session(ANNE))
    assert 'value="A &amp; B?"' in form.text
    assert 'value="$5"' in form.text


async def test_a_form_that_could_not_be_sent_keeps_what_was_typed(site):
    answer = await site.post(
        "/tickets/new", data={"title": "Opera", "price": "20"}, headers=PAGE | session(ANNE)
    )
    assert answer.status_code == 503
    assert 'value="Opera"' in answer.text
    assert "Please try again" in answer.text
    answer = await site.post("/auth/signin", data={"email": "anne@example.com", "password": "x"})
    assert answer.status_code == 503
    assert 'value="anne@example.com"' in answer.text
    assert 'value="x"' not in answer.text


async def test_an_unclear_price_is_asked_for_again(site):
    answer = await site.post("/tickets/new", data={"title": "O", "price": "19,99"}, headers=session(ANNE))
    assert answer.status_code == 400
    assert 'aria-invalid="true"' in answer.text
    assert "such as 19.99" in answer.text


async def test_part_of_the_sales_page_stands_while_others_are_down(site):
    answer = await site.get("/sales", headers=PAGE | session(ANNE))
    assert answer.status_code == 200
    assert answer.text.count("data-retry") == 2


async def test_signing_out_needs_no_service(site):
    answer = await site.post("/auth/signout", headers=session(ANNE))
    assert answer.status_code == 303
    assert re.search(r"session=.*Max-Age=0", answer.headers["Set-Cookie"])


@pytest.mark.parametrize("how", ["signin", "signup"])
async def test_who_is_signed_in_already_goes_on(site, how):
    answer = await site.get(f"/auth/{how}?next=/orders", headers=session(ANNE))
    assert answer.headers["Location"] == "/orders"
    answer = await site.get(f"/auth/{how}?next=//evil.example", headers=session(ANNE))
    assert answer.headers["Location"] == "/"


async def test_an_error_is_a_page_for_people_and_json_for_scripts(site):
    for path, status in (("/nothing", 404), ("/orders/1", 503)):
        page = await site.get(path, headers=PAGE | session(ANNE))
        assert page.status_code == status
        assert page.headers["Content-Type"].startswith("text/html")
        assert "<h1>" in page.text
        said = await site.get(path, headers=session(ANNE))
        assert said.status_code == status
        assert said.json()["errors"][0]["message"]
        assert said.headers["X-Request-ID"]


async def test_a_form_from_another_site_is_refused(site):
    answer = await site.post("/auth/signout", headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403


@pytest.mark.parametrize("path", ["/", "/auth/signin", "/nothing", f"/static/{VERSION}/site.css"])
async def test_every_answer_bears_the_headers_that_keep_it_safe(site, path):
    answer = await site.get(path, headers=PAGE)
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin"


async def test_pages_are_never_kept_and_files_for_ever(site):
    assert (await site.get("/auth/signin")).headers["Cache-Control"] == "no-store"
    kept = await site.get(f"/static/{VERSION}/js/site.js")
    assert kept.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert kept.headers["Content-Type"].startswith("text/javascript")
    other = await site.get("/static/another/js/site.js")
    assert other.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("path", ["../config.py", "..%2fconfig.py", "nothing.css", "js"])
async def test_no_other_file_is_served(site, path):
    assert (await site.get(f"/static/{VERSION}/{path}")).status_code == 404


async def test_it_is_alive_and_ready_whatever_is_down(site):
    assert (await site.get("/healthz")).status_code == 200
    assert (await site.get("/readyz")).status_code == 200


async def test_head_is_answered_as_get_is_but_without_the_page(site):
    answer = await site.head("/auth/signin", headers=PAGE)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.content == b""


async def test_pages_are_sent_compressed(site):
    answer = await site.get("/auth/signin", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert "Sign in" in answer.text
