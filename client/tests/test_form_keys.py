"""The Idempotency-Key of each form, and messages about unknown outcomes, with every service down."""

import html
import re

from ticketing_common.testing import new_user, session

ACCEPT_HTML = {"Accept": "text/html"}
SIGNED_IN = session(new_user())
KEY = "a-form-key"
TICKET = {"title": "Opera", "price": "20"}
ACCOUNT = {"email": "anne@example.com", "password": "correct horse"}
FORMS = [("/auth/signup", ACCOUNT, {}), ("/tickets/new", TICKET, SIGNED_IN)]


def form_key_in(page):
    (key,) = re.findall(r'name="form_key" value="([^"]+)"', page.text)
    return key


async def test_each_form_has_its_own_key(site):
    for path, _, session_headers in FORMS:
        keys = {form_key_in(await site.get(path, headers=ACCEPT_HTML | session_headers)) for _ in range(3)}
        assert len(keys) == 3
        assert all(re.fullmatch("[0-9a-f]{32}", key) for key in keys)


async def test_form_shown_again_after_a_503_keeps_its_key(site):
    for path, form, session_headers in FORMS:
        response = await site.post(path, data=form | {"form_key": KEY}, headers=ACCEPT_HTML | session_headers)
        assert response.status_code == 503
        assert form_key_in(response) == KEY


async def test_form_with_missing_or_malformed_key_gets_a_new_one(site):
    for path, form, session_headers in FORMS:
        for key in ("", "two words", "a" * 65):
            response = await site.post(
                path, data=form | {"form_key": key}, headers=ACCEPT_HTML | session_headers
            )
            assert response.status_code == 503
            assert re.fullmatch("[0-9a-f]{32}", form_key_in(response))


async def test_form_shown_again_after_a_rejection_has_a_new_key(site):
    form = {"title": "Opera", "price": "19,99", "form_key": KEY}
    response = await site.post("/tickets/new", data=form, headers=ACCEPT_HTML | SIGNED_IN)
    assert response.status_code == 400
    assert form_key_in(response) != KEY


async def test_response_to_a_form_never_claims_that_nothing_was_done(site):
    for path, form, session_headers, message in [
        ("/auth/signup", ACCOUNT, {}, "don't know whether"),
        ("/auth/signin", ACCOUNT, {}, "you are not signed in yet"),
        ("/tickets/new", TICKET, SIGNED_IN, "don't know whether"),
        ("/tickets/1/edit", TICKET, SIGNED_IN, "don't know whether"),
        ("/tickets/1", {}, SIGNED_IN, "know whether what you sent was done"),
        ("/orders/1", {}, SIGNED_IN, "know whether what you sent was done"),
        ("/sales", {"order_id": "1"}, SIGNED_IN, "know whether what you sent was done"),
    ]:
        response = await site.post(path, data=form, headers=ACCEPT_HTML | session_headers)
        assert response.status_code == 503, path
        text = html.unescape(response.text)
        assert message in text, path
        assert not re.search("nothing (was|is)|not been", text, re.IGNORECASE), path


async def test_each_503_has_a_retry_after_header(site):
    for accept in ("text/html", "application/json"):
        headers = SIGNED_IN | {"Accept": accept}
        for path in ("/", "/orders", "/tickets/1"):
            response = await site.get(path, headers=headers)
            assert (response.status_code, response.headers.get_list("Retry-After")) == (503, ["1"]), path
        for path in ("/tickets/1", "/tickets/new", "/orders/1", "/sales"):
            response = await site.post(path, data=TICKET, headers=headers)
            assert (response.status_code, response.headers.get_list("Retry-After")) == (503, ["1"]), path
