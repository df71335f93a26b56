"""The card Element in a real browser, on a page with a strict Content-Security-Policy."""

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")

LABELS = {
    "cardnumber": "Credit or debit card number",
    "exp-date": "Credit or debit card expiration date",
    "cvc": "Credit or debit card CVC/CVV",
}
MAKE = "stripe.createPaymentMethod({type: 'card', card})"


async def test_card_typed_in_one_go_becomes_a_payment_method(open_page, create):
    page = await open_page()
    card = page.card()
    await card.locator("[name=cardnumber]").click()
    await page.keyboard.type("424242424242424212341")
    assert await card.locator("[name=cardnumber]").input_value() == "4242 4242 4242 4242"
    assert await card.locator("[name=exp-date]").input_value() == "12 / 34"
    await page.until("is('focus') && !is('empty')")
    assert await page.classes() == {"StripeElement", "StripeElement--focus"}
    await page.keyboard.type("23")
    await page.until("is('complete')")
    assert await page.classes() == {"StripeElement", "StripeElement--focus", "StripeElement--complete"}
    changes = await page.events("card", "change")
    assert changes[-1] == {
        "elementType": "card",
        "empty": False,
        "complete": True,
        "brand": "visa",
        "error": None,
        "value": {"postalCode": ""},
    }
    made = (await page.evaluate(MAKE))["paymentMethod"]
    assert (made["card"]["brand"], made["card"]["last4"], made["card"]["exp_year"]) == ("visa", "4242", 2034)
    assert create(confirm=True, payment_method=made["id"]).status == "requires_capture"


async def test_number_stays_in_the_frame(open_page, site):
    page = await open_page()
    await page.type_card("4000000000000002")
    await page.evaluate(MAKE)
    await page.evaluate("fetch('/order', {method: 'POST', body: document.documentElement.outerHTML})")
    visible = await page.evaluate("document.documentElement.outerHTML + JSON.stringify(events)")
    for number in ("4000000000000002", "4000 0000 0000 0002"):
        assert number not in visible
        assert not [request for request in site.requests if number in request]


INVALID_CARDS = [
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


async def test_invalid_card_is_an_error(open_page):
    page = await open_page()
    for number, rest, code, message in INVALID_CARDS:
        await page.clear_card()
        await page.type_card(number, rest)
        error = {"type": "validation_error", "code": code, "message": message}
        assert await page.evaluate(MAKE) == {"error": error}
        assert (await page.events("card", "change"))[-1]["error"] == error
        assert "StripeElement--invalid" in await page.classes()
        assert await page.card().locator("[aria-invalid=true]").count() >= 1


async def test_mistake_is_reported_when_the_buyer_leaves_the_field_until_it_is_corrected(open_page):
    page = await open_page()
    number = page.card().locator("[name=cardnumber]")
    await number.press_sequentially("4242")
    await page.until("events.at(-1)[1] === 'change' && !events.at(-1)[2].error")
    await number.press("Tab")
    await page.until("events.at(-1)[2].error?.code === 'incomplete_number'")
    await page.keyboard.press("Shift+Tab")
    await page.keyboard.press("End")
    await page.keyboard.type("424242424241")
    await page.until("events.at(-1)[2].error?.code === 'invalid_number'")
    await number.press("Backspace")
    await page.until("!events.at(-1)[2].error")


DATES = [
    ("9", "09 / "),
    ("13", "01 / 3"),
    ("1/34", "01 / 34"),
    ("00", "0"),
    ("12/2034", "12 / 34"),
    ("1", "1"),
]


async def test_date_is_formatted(open_page):
    page = await open_page()
    expiry = page.card().locator("[name=exp-date]")
    for typed, shown in DATES:
        await expiry.fill(typed)
        assert await expiry.input_value() == shown


async def test_date_can_be_deleted_and_number_edited_in_the_middle(open_page):
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


async def test_first_digits_determine_the_brand(open_page):
    page = await open_page()
    field = page.card().locator("[name=cardnumber]")
    for number, brand, shown in BRANDS:
        await field.fill(number)
        assert await field.input_value() == shown
        await page.until(f"events.at(-1)[2].brand === '{brand}'")


async def test_element_can_be_unmounted_and_mounted_again(open_page):
    page = await open_page()
    await page.type_card()
    assert await page.events("card", "ready") == [{"elementType": "card"}]
    await page.evaluate("card.unmount()")
    assert await page.classes() == set()
    assert await page.evaluate(f"{MAKE}.catch(error => error.name)") == "IntegrationError"
    await page.evaluate("card.mount('#card')")
    await page.until("events.filter(([, event]) => event === 'ready').length === 2")
    assert await page.classes() >= {"StripeElement--empty"}
    await page.evaluate("document.querySelector('#card').replaceChildren()")
    assert await page.evaluate(f"{MAKE}.catch(error => error.name)") == "IntegrationError"


async def test_enter_submits_the_surrounding_form(open_page):
    page = await open_page()
    await page.card().locator("[name=cvc]").press("Enter")
    await page.until("events.at(-1)[1] === 'submit'")


async def test_disabled_element_accepts_no_input(open_page):
    page = await open_page({"disabled": True, "hidePostalCode": True})
    assert await page.card().locator("input:disabled").count() == 3
    await page.evaluate("card.update({disabled: false})")
    await page.card().locator("[name=cardnumber]").fill("4242")


async def test_dark_style_applies_to_a_transparent_frame(open_page):
    base = {"color": "#eceef2", "fontSize": "18px", "::placeholder": {"color": "#9aa3b2"}}
    page = await open_page({"hidePostalCode": True, "style": {"base": base, "invalid": {"color": "#ff8a9b"}}})
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


async def test_element_is_accessible_on_a_small_screen(open_page, axe):
    page = await open_page(width=320)
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


async def test_two_elements_are_independent(open_page):
    page = await open_page()
    await page.evaluate("""
      window.other = stripe.elements().create('card', {hidePostalCode: true});
      other.mount('#other');
      record('other', other);
    """)
    await page.until("events.some(([who, what]) => who === 'other' && what === 'ready')")
    await page.card("#other").locator("[name=cardnumber]").fill("5555555555554444")
    await page.type_card("4242424242424242")
    for element in ("other", "card"):
        await page.until(f"events.some(([who, what]) => who === '{element}' && what === 'change')")
    assert {each["brand"] for each in await page.events("other", "change")} == {"mastercard"}
    assert {each["brand"] for each in await page.events("card", "change")} == {"visa"}
    made = await page.evaluate(MAKE)
    assert made["paymentMethod"]["card"]["last4"] == "4242"
    refused = await page.evaluate("stripe.createPaymentMethod({type: 'card', card: other})")
    assert refused["error"]["code"] == "incomplete_expiry"


async def test_frame_accepts_messages_only_from_the_script(open_page):
    """The frame ignores a second channel, which the site's own code offers."""
    page = await open_page()
    await page.evaluate("""
      window.received = [];
      const {port1, port2} = new MessageChannel();
      port1.onmessage = ({data}) => received.push(data);
      document.querySelector('#card iframe').contentWindow.postMessage('connect', '*', [port2]);
      port1.postMessage({name: 'focus', id: 1});
      window.postMessage({event: 'change', detail: {complete: true}}, '*');
    """)
    await page.type_card()
    assert await page.evaluate("received") == []


REJECTED = [
    ("Stripe()", "Missing value for Stripe(): apiKey should be a string."),
    ("Stripe('sk_test_1')", "please pass a publishable key"),
    ("Stripe('pk_test_1', {betas: []})", "does not support betas"),
    ("stripe.elements({locale: 'fr'})", "does not support locale"),
    ("stripe.elements().create('cardNumber')", '"cardNumber"'),
    ("elements.create('card')", "Can only create one Element of type card"),
    ("stripe.elements().create('card')", "hidePostalCode"),
    ("stripe.elements().create('card', {iconStyle: 'solid'})", "does not support iconStyle"),
    ("card.update({style: {base: {zoom: 2}}})", "does not support zoom"),
    ("card.update({style: {hover: {}}})", "does not support hover"),
    ("card.on('escape', () => {})", '"escape"'),
    ("card.mount('#nowhere')", "The selector you specified (#nowhere) applies to no DOM elements"),
    ("stripe.createPaymentMethod('card', card)", "it should be an object"),
    ("stripe.createPaymentMethod({type: 'sepa_debit', card})", '"sepa_debit"'),
    ("stripe.createPaymentMethod({type: 'card', card: {}})", "card should be a card Element"),
    ("stripe.createPaymentMethod({type: 'card', card, customer: 1})", "does not support customer"),
    ("stripe.handleNextAction({})", "value should be a client secret"),
]


async def test_unsupported_calls_are_rejected(open_page):
    page = await open_page()
    for call, message in REJECTED:
        name, text = await page.evaluate(
            f"(async () => {call})().then(() => [], error => [error.name, error.message])"
        )
        assert name == "IntegrationError"
        assert message in text


async def test_errors_of_stripe_are_returned_and_an_unreachable_stripe_is_a_connection_error(
    open_page, stripe_api
):
    page = await open_page()
    await page.type_card()
    stripe_api.add_fault(kind="error", operation="POST /v1/payment_methods", times=1)
    assert (await page.evaluate(MAKE))["error"]["type"] == "api_error"
    stripe_api.add_fault(kind="down", operation="POST /v1/payment_methods", times=1)
    error = (await page.evaluate(MAKE))["error"]
    assert (error["type"], error["message"][:30]) == (
        "api_connection_error",
        "We are experiencing issues con",
    )
    assert (await page.evaluate(MAKE))["paymentMethod"]["object"] == "payment_method"
    page.problems.clear()  # the browser reports each failed call


async def test_key_of_another_account_is_rejected(open_page):
    page = await open_page(key="pk_test_of_another_account")
    await page.type_card()
    error = (await page.evaluate(MAKE))["error"]
    assert error["message"].startswith("Invalid API Key provided: pk_test_")
    page.problems.clear()


async def test_unreachable_script_can_be_loaded_later(tab, stripe_api, site):
    stripe_api.add_fault(kind="down", operation="GET /v3/", times=1)
    await tab.goto(site.url)
    assert await tab.evaluate("typeof Stripe") == "undefined"
    await tab.reload()
    assert await tab.evaluate("typeof Stripe") == "function"
