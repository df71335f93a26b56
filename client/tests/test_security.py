"""What browsers are told to refuse."""

from client.security import content_security_policy


def test_a_page_takes_nothing_from_elsewhere():
    policy = content_security_policy()
    assert "http" not in policy
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy


def test_where_one_pays_stripe_s_hosts_are_allowed():
    policy = content_security_policy("https://js.stripe.com/v3/")
    assert "script-src 'self' https://js.stripe.com https://*.js.stripe.com;" in policy
    assert "frame-src https://js.stripe.com https://*.js.stripe.com https://hooks.stripe.com;" in policy
    assert "connect-src 'self' https://api.stripe.com;" in policy
    assert "unsafe" not in policy


def test_where_the_stand_in_is_used_it_alone_is():
    policy = content_security_policy("http://127.0.0.1:4242/v3/")
    assert "script-src 'self' http://127.0.0.1:4242;" in policy
    assert "stripe.com" not in policy


def test_a_stand_in_behind_the_same_ingress_is_the_site_itself():
    policy = content_security_policy("/v3/")
    assert "script-src 'self';" in policy
    assert "frame-src 'self';" in policy
    assert "connect-src 'self';" in policy
    assert "://" not in policy
