"""Lists: newest first, in pages, by time of creation."""

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


def test_newest_first_ten_at_most(client, made):
    listed = client.v1.payment_intents.list()
    assert (listed.object, listed.url, len(listed.data) <= 10) == ("list", "/v1/payment_intents", True)
    assert ids(listed.data)[:7] == ids(reversed(made))


def test_pages_forth_and_back(client, made):
    page = client.v1.payment_intents.list({"limit": 3, "starting_after": made[5].id})
    assert (ids(page.data), page.has_more) == (ids([made[4], made[3], made[2]]), True)
    page = client.v1.payment_intents.list({"limit": 3, "ending_before": made[2].id})
    assert (ids(page.data), page.has_more) == (ids([made[5], made[4], made[3]]), True)
    page = client.v1.payment_intents.list({"limit": 3, "ending_before": made[4].id})
    assert (ids(page.data), page.has_more) == (ids([made[6], made[5]]), False)


def test_the_package_walks_all_pages(client, made):
    since = {"created": {"gte": made[0].created}, "limit": 2}
    walked = ids(client.v1.payment_intents.list(since).auto_paging_iter())
    assert walked[:7] == ids(reversed(made))


def test_by_time_of_creation(client, made):
    first, middle, last = made[0].created, made[2].created, made[6].created
    listed = client.v1.payment_intents.list
    ours = set(ids(made))

    def found(**created):
        return [intent for intent in ids(listed({"created": created, "limit": 100}).data) if intent in ours]

    def expected(test):
        return ids(intent for intent in reversed(made) if test(intent.created))

    assert found(gte=middle) == expected(lambda at: at >= middle)
    assert found(gt=middle) == expected(lambda at: at > middle)
    assert found(lt=middle) == expected(lambda at: at < middle)
    assert found(lte=middle) == expected(lambda at: at <= middle)
    assert found(gt=first, lt=last) == expected(lambda at: first < at < last)
    assert found(gt=last + 5) == []
    exact = [intent for intent in ids(listed({"created": middle, "limit": 100}).data) if intent in ours]
    assert exact == expected(lambda at: at == middle)


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"starting_after": "pi_x"}, "starting_after"),
        ({"starting_after": "pi_x", "ending_before": "pi_x"}, "starting_after"),
        ({"created": {"after": 3}}, "created[after]"),
        ({"customer": "cus_1"}, "customer"),
    ],
)
def test_bad_parameters(client, params, param):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.payment_intents.list(params)
    assert (caught.value.http_status, caught.value.param) == (400, param)
