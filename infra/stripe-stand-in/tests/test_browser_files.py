"""The script and its pages as files."""

import re

import httpx
import pytest

PAGES = ["bank.html", "card.html"]


@pytest.fixture(autouse=True)
def _clear_faults(stripe_api):
    yield
    stripe_api.clear_faults()


def test_script_needs_no_key(stripe_api):
    answer = httpx.get(stripe_api.script)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert "window.Stripe = " in answer.text


@pytest.mark.parametrize("page", PAGES)
def test_page_has_nothing_inline_and_its_files_exist(stripe_api, page):
    answer = httpx.get(stripe_api.script + page)
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'")
    assert "frame-ancestors" not in policy
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert not re.search(r"<style|<script>|\sstyle=|\son\w+=", answer.text)
    for name in re.findall(r'(?:src|href)="([^"]+)"', answer.text):
        assert httpx.get(stripe_api.script + name).headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["/v3", "/v3/none.html", "/v3/../script/stripe.js", "/v3/%2e%2e/files.py"])
def test_other_files_are_not_served(stripe_api, path):
    assert httpx.get(stripe_api.url + path).status_code == 401


def test_fault_strikes_a_file_only_by_name(stripe_api):
    stripe_api.add_fault(kind="error")
    assert httpx.get(stripe_api.script).status_code == 200
    stripe_api.clear_faults()
    stripe_api.add_fault(kind="error", status=503, operation="GET /v3/", times=1)
    stripe_api.add_fault(kind="down", operation="GET /v3/", times=1)
    assert httpx.get(stripe_api.script).status_code == 503
    with pytest.raises(httpx.TransportError):
        httpx.get(stripe_api.script)
    assert httpx.get(stripe_api.script).status_code == 200
