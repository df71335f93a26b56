"""Security headers for browsers."""

from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_STRIPE_HOST = "js.stripe.com"


def content_security_policy(stripe_js: str | None = None) -> str:
    """Allows only files of this site, and nothing inline. With `stripe_js`, also allows Stripe's hosts.

    Source: https://docs.stripe.com/security/guide#content-security-policy
    """
    scripts, frames, connections, images = ["'self'"], [], ["'self'"], ["'self'"]
    if stripe_js:
        url = urlsplit(stripe_js)
        host = f"{url.scheme}://{url.netloc}" if url.netloc else "'self'"  # a path: same ingress
        scripts.append(host)
        frames.append(host)
        if url.netloc == _STRIPE_HOST:
            scripts.append("https://*.js.stripe.com")
            frames += ["https://*.js.stripe.com", "https://hooks.stripe.com"]
            connections.append("https://api.stripe.com")
            images.append("https://*.stripe.com")
        else:
            connections.append(host)
    directives = {
        "default-src": ["'none'"],
        "script-src": scripts,
        "style-src": ["'self'"],
        "font-src": ["'self'"],
        "img-src": images,
        "connect-src": connections,
        "frame-src": frames or ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
    }
    return "; ".join(f"{name} {' '.join(dict.fromkeys(sources))}" for name, sources in directives.items())


_DEFAULT_HEADERS = {
    "Content-Security-Policy": content_security_policy(),
    "X-Content-Type-Options": "nosniff",
    # With no-referrer, browsers would send forms with `Origin: null`, which the origin check rejects.
    "Referrer-Policy": "same-origin",
    # The back button shows the current state, and nothing private after sign-out.
    "Cache-Control": "no-store",
}

_RETRY_AFTER = "1"
"""Seconds, as in the services' responses."""


class SecurityHeaders:
    """Middleware that adds the headers above, and `Retry-After` to a 503, unless the response sets them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _DEFAULT_HEADERS.items():
                    headers.setdefault(name, value)
                if message["status"] == 503:
                    headers.setdefault("Retry-After", _RETRY_AFTER)
            await send(message)

        await self._app(scope, receive, send_with_headers)
