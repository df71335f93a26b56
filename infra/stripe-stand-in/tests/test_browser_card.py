"""The card Element in a real browser, on the page of a site with a strict policy."""

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")

LABELS = {
    "cardnumber": "Credit or debit card number",
    "exp-date": "Credit or debit card expiration date",
    "cvc": "Credit or debit card CVC/CVV",
    "postal": "ZIP",
}
MAKE = "stripe.createPaymentMethod({type: 'card', card})"


async def test_a_card_typed_in_one_go_becomes_a_payment_method(open_page, create):
    page = await open_page({})
    card = page.card()
    await card.locator("[name=cardnumber]").click()
    await page.keyboard.type("424242424242424212341239411")
    assert await card.locator("[name=cardnumber]").input_value() == "4242 4242 4242 4242"
    assert await card.locator("[name=exp-date]").input_value() == "12 / 34"
    await page.until("is('focus') && !is('empty')")
    assert await page.classes() == {"StripeElement", "StripeElement--focus"}
    await page.keyboard.type("0")
    await page.until("is('complete')")
    assert await page.classes() == {"StripeElement", "StripeElement--focus", "StripeElement--complete"}
    told = await page.told("card", "change")
    assert told[-1] == {
        "elementType": "card",
        "empty": False,
        "complete": True,
        "brand": "visa",
        "error": None,
        "value": {"postalCode": "94110"},
    }
    made = (await page.evaluate(MAKE))["paymentMethod"]
    assert (made["card"]["brand"], made["card"]["last4"], made["card"]["exp_year"]) == ("visa", "4242", 2034)
    assert made["billing_details"]["address"]["postal_code"] == "94110"
    assert create(confirm=True, payment_method=made["id"]).status == "requires_capture"


async def test_the_number_stays_in_the_frame(open_page, site):
    page = await open_page()
    await page.type_card("4000000000000002")
    await page.evaluate(MAKE)
    await page.evaluate("fetch('/order', {method: 'POST', body: document.documentElement.outerHTML})")
    heard = await page.evaluate("document.documentElement.outerHTML + JSON.stringify(told)")
    for number in ("4000000000000002", "4000 0000 0000 0002"):
        assert number not in heard
        assert not [asked for asked in site.asked if number in asked]


CARDS_THAT_CANNOT_BE = [
    ("4242424242424241", "1234123", "invalid_number", "Your card number is invalid."),
    ("42424242", "1234123", "incomplete_number", "Your card number is incomplete."),
    ("4242424242424242", "12", "incomplete_expiry", "Your card's expiration date is incomplete."),
    (
        "4242424242424242",
        "1220123",
        "invalid_expiry_year_past",
        "Your card's expiration year is in the past.",
    ),
    ("4242424242424242", "123412", "incomplete_cvc", "Your card's security code is incomplete."),
    ("378282246310005", "1234123", "incomplete_cvc", "Your card's security code is incomplete."),
    ("", "", "incomplete_number", "Your card number is incomplete."),
]


async def test_a_card_that_cannot_be_one(open_page):
    page = await open_page()
    for number, rest, code, message in CARDS_THAT_CANNOT_BE:
        await page.evaluate("card.clear()")
        await page.type_card(number, rest)
        error = {"type": "validation_error", "code": code, "message": message}
        assert await page.evaluate(MAKE) == {"error": error}
        assert (await page.told("card", "change"))[-1]["error"] == error
        assert "StripeElement--invalid" in await page.classes()
        assert await page.card().locator("[aria-invalid=true]").count() >= 1


async def test_a_mistake_is_told_when_its_field_is_left_and_gone_when_it_is_mended(open_page):
    page = await open_page()
    number = page.card().locator("[name=cardnumber]")
    await number.press_sequentially("4242")
    await page.until("told.at(-1)[1] === 'change' && !told.at(-1)[2].error")
    await number.press("Tab")
    await page.until("told.at(-1)[2].error?.code === 'incomplete_number'")
    await page.keyboard.press("Shift+Tab")
    await page.keyboard.press("End")
    await page.keyboard.type("424242424241")
    await page.until("told.at(-1)[2].error?.code === 'invalid_number'")
    await number.press("Backspace")
    await page.until("!told.at(-1)[2].error")


DATES = [
    ("9", "09 / "),
    ("13", "01 / 3"),
    ("1/34", "01 / 34"),
    ("00", "0"),
    ("12/2034", "12 / 34"),
    ("1", "1"),
]


async def test_a_date_is_put_in_shape(open_page):
    page = await open_page()
    expiry = page.card().locator("[name=exp-date]")
    for typed, shown in DATES:
        await expiry.fill(typed)
        assert await expiry.input_value() == shown


async def test_a_date_can_be_deleted_and_a_number_mended_in_its_middle(open_page):
    page = await open_page()
    expiry, number = (page.card().locator(f"[name={name}]") for name in ("exp-date", "cardnumber"))
    await expiry.press_sequentially("123")
    for left in ("12", "1", ""):
        await expiry.press("Backspace")
        assert await expiry.input_value() == left
    await expiry.press("Backspace")  # into the number
    await page.keyboard.type("4242424224242")
    for _ in range(5):
        await page.keyboard.press("ArrowLeft")
    await page.keyboard.type("4")
    assert await number.input_value() == "4242 4242 2442 42"
    await page.keyboard.type("9")
    assert await number.input_value() == "4242 4242 2494 242"


BRANDS = [
    ("378282246310005", "amex", "3782 822463 10005"),
    ("3056930009020004", "diners", "3056 930009 0200"),
    ("3566002020360505", "jcb", "3566 0020 2036 0505"),
    ("5555555555554444", "mastercard", "5555 5555 5555 4444"),
    ("6011111111111117", "discover", "6011 1111 1111 1117"),
    ("6200000000000005", "unionpay", "6200 0000 0000 0005"),
    ("9", "unknown", "9"),
]


async def test_the_brand_shows_by_the_first_digits(open_page):
    page = await open_page()
    field = page.card().locator("[name=cardnumber]")
    for number, brand, shown in BRANDS:
        await field.fill(number)
        assert await field.input_value() == shown
        await page.until(f"told.at(-1)[2].brand === '{brand}'")


async def test_the_methods_of_an_element(open_page):
    page = await open_page()
    await page.type_card()
    assert await page.told("card", "ready") == [{"elementType": "card"}]
    await page.evaluate("card.clear()")
    await page.until("told.at(-1)[2].empty")
    assert await page.classes() >= {"StripeElement--empty"}
    for focus in (page.evaluate("card.focus()"), page.get_by_text("Card", exact=True).click()):
        await focus
        await page.until("told.at(-1)[1] === 'focus'")
        await page.keyboard.type("4")
        await page.evaluate("card.blur()")
        await page.until("told.some(([, event], i) => event === 'blur' && i > told.length - 3)")
    assert await page.card().locator("[name=cardnumber]").input_value() == "44"
    await page.evaluate("card.off('change'); card.unmount()")
    assert await page.classes() == set()
    assert await page.evaluate(f"{MAKE}.catch(error => error.name)") == "IntegrationError"
    await page.evaluate("card.mount('#card')")
    await page.until("told.filter(([, event]) => event === 'ready').length === 2")
    await page.evaluate("document.querySelector('#card').replaceChildren()")
    assert await page.evaluate(f"{MAKE}.catch(error => error.name)") == "IntegrationError"
    await page.evaluate("card.destroy(); elements.create('card').mount('#card')")
    await page.card().locator("[name=postal]").wait_for()


async def test_enter_submits_the_form_around_it(open_page):
    page = await open_page()
    await page.card().locator("[name=cvc]").press("Enter")
    await page.until("told.at(-1)[1] === 'submit'")


async def test_a_disabled_element_takes_no_input(open_page):
    page = await open_page({"disabled": True, "hidePostalCode": True})
    assert await page.card().locator("input:disabled").count() == 4
    await page.evaluate("card.update({disabled: false})")
    await page.card().locator("[name=cardnumber]").fill("4242")
    assert await page.card().locator("[name=postal]").is_hidden()


async def test_a_dark_style_on_a_transparent_frame(open_page):
    base = {"color": "#eceef2", "fontSize": "18px", "::placeholder": {"color": "#9aa3b2"}}
    page = await open_page({"style": {"base": base, "invalid": {"color": "#ff8a9b"}}})
    await page.evaluate("document.documentElement.classList.add('dark')")
    field = page.card().locator("[name=cardnumber]")
    styled = "element => [getComputedStyle(element).color, getComputedStyle(element).fontSize]"
    assert await field.evaluate(styled) == ["rgb(236, 238, 242)", "18px"]
    await field.fill("4242424242424241")
    assert await field.evaluate(styled) == ["rgb(255, 138, 155)", "18px"]
    await page.evaluate("card.update({style: {base: {color: '#fff'}}})")
    await field.fill("42")
    assert await field.evaluate(styled) == ["rgb(255, 255, 255)", "18px"]
    frame = await (await page.locator("#card iframe").element_handle()).content_frame()
    for root in ("document.documentElement", "document.body"):
        assert await frame.evaluate(f"getComputedStyle({root}).backgroundColor") == "rgba(0, 0, 0, 0)"
    schemes = [await frame.evaluate("getComputedStyle(document.documentElement).colorScheme")]
    schemes.append(
        await page.locator("#card iframe").evaluate("frame => getComputedStyle(frame).colorScheme")
    )
    assert schemes == ["light", "light"]


async def test_everybody_can_use_it_on_a_small_screen(open_page, axe):
    page = await open_page({}, width=320)
    card = page.card()
    for name, label in LABELS.items():
        assert await card.get_by_label(label).get_attribute("name") == name
    assert await page.get_by_title("Secure card payment input frame").count() == 1
    await page.get_by_role("button", name="Pay").focus()
    order = []
    for _ in LABELS:
        await page.keyboard.press("Shift+Tab")
        focused = card.locator("input:focus")
        order.append(await focused.get_attribute("name"))
        box, frame = await focused.bounding_box(), await page.locator("#card iframe").bounding_box()
        assert frame["x"] <= box["x"]
        assert box["x"] + 20 < frame["x"] + frame["width"]
    assert order[::-1] == list(LABELS)
    for frame in page.frames:
        assert await axe(frame) == []
    assert await page.evaluate("document.documentElement.scrollWidth") <= 320


async def test_two_elements_know_nothing_of_each_other(open_page):
    page = await open_page()
    await page.evaluate("""
      window.other = stripe.elements().create('card', {hidePostalCode: true});
      other.mount('#other');
      tell('other', other);
    """)
    await page.card("#other").locator("[name=cardnumber]").fill("5555555555554444")
    await page.type_card("4242424242424242")
    for element in ("other", "card"):
        await page.until(f"told.some(([who, what]) => who === '{element}' && what === 'change')")
    assert {each["brand"] for each in await page.told("other", "change")} == {"mastercard"}
    assert {each["brand"] for each in await page.told("card", "change")} == {"visa"}
    made = await page.evaluate(MAKE)
    assert made["paymentMethod"]["card"]["last4"] == "4242"
    refused = await page.evaluate("stripe.createPaymentMethod({type: 'card', card: other})")
    assert refused["error"]["code"] == "incomplete_expiry"


async def test_only_the_script_can_speak_with_a_frame(open_page):
    """A second channel, which the site's own code offers, is not listened to."""
    page = await open_page()
    await page.evaluate("""
      window.heard = [];
      const {port1, port2} = new MessageChannel();
      port1.onmessage = ({data}) => heard.push(data);
      document.querySelector('#card iframe').contentWindow.postMessage('connect', '*', [port2]);
      port1.postMessage({name: 'focus', id: 1});
      window.postMessage({event: 'change', detail: {complete: true}}, '*');
    """)
    await page.type_card()
    assert await page.evaluate("heard") == []


REFUSED = [
    ("Stripe()", "Missing value for Stripe(): apiKey should be a string."),
    ("Stripe('sk_test_1')", "please pass a publishable key"),
    ("Stripe('pk_test_1', {betas: []})", "does not know betas"),
    ("stripe.elements({locale: 'fr'})", '"fr"'),
    ("stripe.elements().create('cardNumber')", '"cardNumber"'),
    ("elements.create('card')", "Can only create one Element of type card"),
    ("stripe.elements().create('card', {iconStyle: 'solid'})", "does not know iconStyle"),
    ("card.update({style: {base: {zoom: 2}}})", "does not know zoom"),
    ("card.update({style: {hover: {}}})", "does not know hover"),
    ("card.on('escape', () => {})", '"escape"'),
    ("card.mount('#nowhere')", "The selector you specified (#nowhere) applies to no DOM elements"),
    ("stripe.createPaymentMethod('card', card)", "it should be an object"),
    ("stripe.createPaymentMethod({type: 'sepa_debit', card})", '"sepa_debit"'),
    ("stripe.createPaymentMethod({type: 'card', card: {}})", "card should be a card Element"),
    ("stripe.createPaymentMethod({type: 'card', card, customer: 1})", "does not know customer"),
    ("stripe.handleNextAction({})", "value should be a client secret"),
    ("stripe.retrievePaymentIntent('pi_1')", "value should be a client secret"),
]


async def test_what_it_does_not_know_it_refuses(open_page):
    page = await open_page()
    for call, message in REFUSED:
        name, said = await page.evaluate(
            f"(async () => {call})().then(() => [], error => [error.name, error.message])"
        )
        assert name == "IntegrationError"
        assert message in said


async def test_what_stripe_refuses_and_that_it_is_out_of_reach(open_page, stripe_api):
    page = await open_page()
    await page.type_card()
    refused = await page.evaluate(
        "stripe.createPaymentMethod({type: 'card', card, billing_details: {age: '7'}})"
    )
    assert refused["error"]["code"] == "parameter_unknown"
    named = await page.evaluate(
        "stripe.createPaymentMethod({type: 'card', card, billing_details: {name: 'Ada'}})"
    )
    assert named["paymentMethod"]["billing_details"]["name"] == "Ada"
    stripe_api.fault(kind="error", operation="POST /v1/payment_methods", times=1)
    assert (await page.evaluate(MAKE))["error"]["type"] == "api_error"
    stripe_api.fault(kind="down", operation="POST /v1/payment_methods", times=1)
    error = (await page.evaluate(MAKE))["error"]
    assert (error["type"], error["message"][:30]) == (
        "api_connection_error",
        "We are experiencing issues con",
    )
    assert (await page.evaluate(MAKE))["paymentMethod"]["object"] == "payment_method"
    page.problems.clear()  # the browser notes each answer that is none


async def test_another_key_is_none(open_page):
    page = await open_page(key="pk_test_of_another_account")
    await page.type_card()
    error = (await page.evaluate(MAKE))["error"]
    assert error["message"].startswith("Invalid API Key provided: pk_test_")
    page.problems.clear()


async def test_a_script_out_of_reach_can_be_loaded_later(tab, stripe_api, site):
    stripe_api.fault(kind="down", operation="GET /v3/", times=1)
    await tab.goto(site.url)
    assert await tab.evaluate("typeof Stripe") == "undefined"
    await tab.reload()
    assert await tab.evaluate("typeof Stripe") == "function"
