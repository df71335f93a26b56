"""What visitors type."""

from decimal import Decimal

import pytest

from client.models import parse_price, safe_next


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("20", "20"),
        (" 19.99 ", "19.99"),
        ("$1,234.50", "1234.50"),
        ("$ 5", "5"),
        ("1,234,567", "1234567"),
        (".5", ".5"),
        ("5.", "5"),
        ("-3", "-3"),  # clear enough: the tickets service refuses it
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
def test_a_price_is_what_was_meant_or_unclear(typed, meant):
    assert parse_price(typed) == (None if meant is None else Decimal(meant))


@pytest.mark.parametrize("path", ["/", "/orders/1", "/tickets/new?title=a%20b&price=%245", "/?q=//x"])
def test_a_path_of_this_site_is_where_one_goes_back_to(path):
    assert safe_next(path) == path


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
def test_anything_else_leads_to_the_front_page(path):
    assert safe_next(path) == "/"
