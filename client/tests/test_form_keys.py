"""The Idempotency-Key of each form, and what the site says of an unknown outcome: every service is down."""

import html
import re

from ticketing_common.testing import new_user, session

PAGE = {"Accept": "text/html"}
SIGNED_IN = session(new_user())
KEY = "a-key-of-a-form"
TICKET = {"title": "Opera", "price": "20"}
ACCOUNT = {"email": "anne@example.com", "password": "correct horse"}
FORMS = [("/auth/signup", ACCOUNT, {}), ("/tickets/new", TICKET, SIGNED_IN)]


def key_in(page):
    (key,) = re.findall(r'name="form_key" value="([^"]+)"', page.text)
    return key


async def test_each_form_has_a_key_of_its_own(site):
    for path, _, who in FORMS:
        keys = {key_in(await site.get(path, headers=PAGE | who)) for _ in range(3)}
        assert len(keys) == 3
        assert all(re.fullmatch("[0-9a-f]{32}", key) for key in keys)


async def test_form_shown_again_after_a_503_keeps_its_key(site):
    for path, typed, who in FORMS:
        answer = await site.post(path, data=typed | {"form_key": KEY}, headers=PAGE | who)
        assert answer.status_code == 503
        assert key_in(answer) == KEY


async def test_form_sent_without_a_well_formed_key_gets_one(site):
    for path, typed, who in FORMS:
        for key in ("", "two words", "a" * 65):
            answer = await site.post(path, data=typed | {"form_key": key}, headers=PAGE | who)
            assert answer.status_code == 503
            assert re.fullmatch("[0-9a-f]{32}", key_in(answer))


async def test_form_shown_again_after_a_refusal_has_a_new_key(site):
    typed = {"title": "Opera", "price": "19,99", "form_key": KEY}
    answer = await site.post("/tickets/new", data=typed, headers=PAGE | SIGNED_IN)
    assert answer.status_code == 400
    assert key_in(answer) != KEY


async def test_answer_to_a_form_never_claims_that_nothing_was_done(site):
    for path, typed, who, says in [
        ("/auth/signup", ACCOUNT, {}, "don't know whether"),
        ("/auth/signin", ACCOUNT, {}, "you are not signed in yet"),
        ("/tickets/new", TICKET, SIGNED_IN, "don't know whether"),
        ("/tickets/1/edit", TICKET, SIGNED_IN, "don't know whether"),
        ("/tickets/1", {}, SIGNED_IN, "know whether what you sent was done"),
        ("/orders/1", {}, SIGNED_IN, "know whether what you sent was done"),
        ("/sales", {"order_id": "1"}, SIGNED_IN, "know whether what you sent was done"),
    ]:
        answer = await site.post(path, data=typed, headers=PAGE | who)
        assert answer.status_code == 503, path
        text = html.unescape(answer.text)
        assert says in text, path
        assert not re.search("nothing (was|is)|not been", text, re.IGNORECASE), path


async def test_each_503_says_when_to_try_again(site):
    for accept in ("text/html", "application/json"):
        headers = SIGNED_IN | {"Accept": accept}
        for path in ("/", "/orders", "/tickets/1"):
            answer = await site.get(path, headers=headers)
            assert (answer.status_code, answer.headers.get_list("Retry-After")) == (503, ["1"]), path
        for path in ("/tickets/1", "/tickets/new", "/orders/1", "/sales"):
            answer = await site.post(path, data=TICKET, headers=headers)
            assert (answer.status_code, answer.headers.get_list("Retry-After")) == (503, ["1"]), path
