"""The content security policy."""

from client.security import content_security_policy


def test_policy_allows_only_files_of_this_site():
    policy = content_security_policy()
    assert "http" not in policy
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy


def test_policy_of_the_payment_page_allows_stripe_hosts():
    policy = content_security_policy("https://js.stripe.com/v3/")
    assert "script-src 'self' https://js.stripe.com https://*.js.stripe.com;" in policy
    assert "frame-src https://js.stripe.com https://*.js.stripe.com https://hooks.stripe.com;" in policy
    assert "connect-src 'self' https://api.stripe.com;" in policy
    assert "unsafe" not in policy


def test_policy_with_the_stand_in_allows_no_stripe_host():
    policy = content_security_policy("http://127.0.0.1:4242/v3/")
    assert "script-src 'self' http://127.0.0.1:4242;" in policy
    assert "stripe.com" not in policy


def test_policy_with_a_stand_in_behind_the_same_ingress_allows_no_other_host():
    policy = content_security_policy("/v3/")
    assert "script-src 'self';" in policy
    assert "frame-src 'self';" in policy
    assert "connect-src 'self';" in policy
    assert "://" not in policy
