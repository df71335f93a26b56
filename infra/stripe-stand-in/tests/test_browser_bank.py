"""The buyer at the bank (3-D Secure), in a real browser, on a page with a strict Content-Security-Policy."""

import asyncio

import pytest
from playwright.async_api import expect

pytestmark = pytest.mark.asyncio(loop_scope="module")

REQUIRES_BUYER = {"confirm": True, "use_stripe_sdk": True, "metadata": {"orderId": "7"}}
UNABLE = "We are unable to authenticate your payment method. Please choose a different payment method"


@pytest.fixture
def waiting(create):
    def waiting(card="threeDSecure2Required"):
        return create(**REQUIRES_BUYER, payment_method=f"pm_card_{card}")

    return waiting


async def open_bank(page, intent):
    """Returns the page inside the dialog, and the task that waits for the result."""
    await page.locator("#pay").focus()
    call = f"stripe.handleNextAction({{clientSecret: '{intent.client_secret}'}})"
    result = asyncio.create_task(page.evaluate(call))
    bank = page.frame_locator("iframe[title='3D Secure authentication']")
    await expect(bank.get_by_role("heading", name="Confirm your payment")).to_be_focused()
    return bank, result


async def expect_closed(page):
    assert await page.locator("dialog").count() == 0
    await expect(page.locator("#pay")).to_be_focused()


async def test_buyer_completes_authentication(open_page, waiting):
    page = await open_page()
    bank, result = await open_bank(page, waiting())
    await expect(bank.get_by_text("$19.99")).to_be_visible()
    await expect(bank.get_by_text("Test mode: no real card")).to_be_visible()
    await bank.get_by_role("button", name="Complete").click()
    intent = (await result)["paymentIntent"]
    assert (intent["status"], intent["amount"]) == ("requires_capture", 1999)
    assert not {"metadata", "latest_charge"} & intent.keys()
    await expect_closed(page)


@pytest.mark.parametrize("how", ["Fail", "Cancel", "Escape"])
async def test_buyer_fails_or_cancels_authentication(open_page, waiting, client, how):
    page = await open_page()
    intent = waiting()
    bank, result = await open_bank(page, intent)
    if how == "Escape":
        await page.keyboard.press(how)
    else:
        await bank.get_by_role("button", name=how).click()
    error = (await result)["error"]
    assert error["code"] == "payment_intent_authentication_failure"
    assert (error["type"], error["message"]) == ("invalid_request_error", f"{UNABLE} and try again.")
    assert error["payment_intent"]["status"] == "requires_payment_method"
    assert client.v1.payment_intents.retrieve(intent.id).status == "requires_payment_method"
    await expect_closed(page)


async def test_bank_declines_after_authentication(open_page, waiting):
    page = await open_page()
    bank, result = await open_bank(page, waiting("threeDSecureRequiredChargeDeclined"))
    await bank.get_by_role("button", name="Complete").click()
    error = (await result)["error"]
    assert (error["type"], error["code"], error["message"]) == (
        "card_error",
        "card_declined",
        "Your card was declined.",
    )
    assert error["payment_intent"]["status"] == "requires_payment_method"


async def test_dialog_is_accessible_on_a_small_screen_and_keeps_the_focus(open_page, waiting, axe):
    page = await open_page(width=320)
    bank, result = await open_bank(page, waiting())
    await expect(page.get_by_role("dialog", name="3D Secure authentication")).to_be_visible()
    focused = []
    for _ in range(4):
        await page.keyboard.press("Tab")
        focused.append(await bank.locator("button:focus").get_attribute("id"))
    assert focused == ["complete", "fail", "close", "complete"]
    for _ in range(2):
        await page.keyboard.press("Shift+Tab")
    assert await bank.locator("button:focus").get_attribute("id") == "fail"
    assert await page.evaluate("document.activeElement.tagName") == "IFRAME"
    for frame in page.frames:
        assert await axe(frame) == []
    box = await bank.locator("section").bounding_box()
    assert box["x"] > 0
    assert box["x"] + box["width"] < 320
    await page.keyboard.press("Enter")
    assert "error" in await result


async def test_dialog_covers_a_dialog_of_the_site(open_page, waiting):
    page = await open_page()
    await page.evaluate("""
      const own = document.createElement('dialog');
      own.append(document.getElementById('form'));
      document.body.append(own);
      own.showModal();
    """)
    await page.evaluate("card.unmount(); card.mount('#card')")
    await page.card().locator("[name=cvc]").wait_for()
    bank, result = await open_bank(page, waiting())
    await bank.get_by_role("button", name="Complete").click()
    assert "paymentIntent" in await result
    assert await page.locator("dialog").evaluate("own => own.open")


async def test_intent_that_requires_no_action_is_rejected(open_page, create):
    page = await open_page()
    secret = create().client_secret
    call = (
        f"stripe.handleNextAction({{clientSecret: '{secret}'}}).catch(error => [error.name, error.message])"
    )
    assert await page.evaluate(call) == [
        "IntegrationError",
        "handleNextAction: The PaymentIntent supplied is not in the requires_action state.",
    ]
    assert await page.locator("dialog").count() == 0


async def test_intent_that_was_decided_elsewhere_meanwhile_is_returned(open_page, waiting, client):
    page = await open_page()
    intent = waiting()
    bank, result = await open_bank(page, intent)
    client.v1.payment_intents.cancel(intent.id)
    await bank.get_by_role("button", name="Complete").click()
    assert (await result)["paymentIntent"]["status"] == "canceled"
    page.problems.clear()  # the browser reports the error


@pytest.mark.parametrize(
    "operation", ["POST /v1/payment_intents/{id}/_authenticate", "GET /v1/payment_intents/{id}"]
)
async def test_unreachable_stripe_is_a_connection_error(open_page, waiting, client, stripe_api, operation):
    page = await open_page()
    intent = waiting()
    bank, result = await open_bank(page, intent)
    stripe_api.add_fault(kind="down", operation=operation, times=1)
    await bank.get_by_role("button", name="Complete").click()
    assert (await result)["error"]["type"] == "api_connection_error"
    status = "requires_action" if operation.startswith("POST") else "requires_capture"
    assert client.v1.payment_intents.retrieve(intent.id).status == status
    await expect_closed(page)
    page.problems.clear()


async def test_unreachable_page_is_a_connection_error(open_page, waiting, stripe_api):
    page = await open_page()
    stripe_api.add_fault(kind="down", operation="GET /v3/bank.html", times=1)
    call = f"stripe.handleNextAction({{clientSecret: '{waiting().client_secret}'}})"
    assert (await page.evaluate(call))["error"]["type"] == "api_connection_error"
    assert await page.locator("dialog").count() == 0
    page.problems.clear()
