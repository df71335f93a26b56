"""Lists: newest first, in pages, filtered by time of creation."""

import time

import pytest
import stripe


@pytest.fixture(scope="module")
def made(stripe_api):
    """Seven intents made in at least three different seconds."""
    client = stripe.StripeClient(stripe_api.key, base_addresses={"api": stripe_api.url})
    intents = []
    for n in range(7):
        intents.append(client.v1.payment_intents.create({"amount": 100 + n, "currency": "usd"}))
        if n in (1, 4):
            time.sleep(1.01)
    return intents


def ids(listed):
    return [intent.id for intent in listed]


def test_list_is_newest_first_with_ten_items_at_most(client, made):
    listed = client.v1.payment_intents.list()
    assert (listed.object, listed.url, len(listed.data) <= 10) == ("list", "/v1/payment_intents", True)
    assert ids(listed.data)[:7] == ids(reversed(made))


def test_page_continues_after_the_given_object(client, made):
    page = client.v1.payment_intents.list({"limit": 3, "starting_after": made[5].id})
    assert (ids(page.data), page.has_more) == (ids([made[4], made[3], made[2]]), True)


def test_stripe_package_reads_all_pages(client, made):
    since = {"created": {"gte": made[0].created}, "limit": 2}
    read = ids(client.v1.payment_intents.list(since).auto_paging_iter())
    assert read[:7] == ids(reversed(made))


def test_list_is_filtered_by_time_of_creation(client, made):
    first, middle, last = made[0].created, made[2].created, made[6].created
    ours = set(ids(made))

    def found(**created):
        listed = client.v1.payment_intents.list({"created": created, "limit": 100})
        return [intent for intent in ids(listed.data) if intent in ours]

    def expected(test):
        return ids(intent for intent in reversed(made) if test(intent.created))

    assert found(gte=middle) == expected(lambda at: at >= middle)
    assert found(gt=middle) == expected(lambda at: at > middle)
    assert found(lt=middle) == expected(lambda at: at < middle)
    assert found(lte=middle) == expected(lambda at: at <= middle)
    assert found(gt=first, lt=last) == expected(lambda at: first < at < last)
    assert found(gte=middle, lte=middle) == expected(lambda at: at == middle)
    assert found(gt=last + 5) == []


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"starting_after": "pi_x"}, "starting_after"),
        ({"created": {"after": 3}}, "created[after]"),
        ({"customer": "cus_1"}, "customer"),
    ],
)
def test_bad_parameters_are_rejected(client, params, param):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.payment_intents.list(params)
    assert (caught.value.http_status, caught.value.param) == (400, param)
