"""Parsing and validation of what visitors enter."""

from decimal import Decimal

import pytest

from client.models import parse_price, safe_redirect_path


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("20", "20"),
        (" 19.99 ", "19.99"),
        ("$1,234.50", "1234.50"),
        ("$ 5", "5"),
        ("1,234,567", "1234567"),
        (".5", ".5"),
        ("5.", "5"),
        ("-3", "-3"),  # a clear amount; the tickets service rejects it
        ("12.345", "12.345"),
        ("", None),
        ("free", None),
        ("19,99", None),
        ("1,23", None),
        ("1e5", None),
        ("NaN", None),
        ("Infinity", None),
        ("٣", None),
        ("1 000", None),
        ("$", None),
    ],
)
def test_price_is_parsed_or_unclear(text, price):
    assert parse_price(text) == (None if price is None else Decimal(price))


@pytest.mark.parametrize("path", ["/", "/orders/1", "/tickets/new?title=a%20b&price=%245", "/?q=//x"])
def test_path_on_this_site_is_a_safe_redirect(path):
    assert safe_redirect_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        None,
        "",
        "orders",
        "//evil.example",
        "///evil.example",
        "https://evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        " /orders",
        "/a b",
        "javascript:alert(1)",
        "//[",
        "/\x00",
    ],
)
def test_other_redirects_lead_to_the_front_page(path):
    assert safe_redirect_path(path) == "/"
