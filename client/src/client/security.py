"""What browsers are told to refuse, and to forget."""

from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_STRIPE = "js.stripe.com"


def content_security_policy(stripe_js: str | None = None) -> str:
    """Nothing from elsewhere and nothing inline; on the page where one pays, Stripe's hosts too.

    Source: https://docs.stripe.com/security/guide#content-security-policy
    """
    scripts, frames, calls, images = ["'self'"], [], ["'self'"], ["'self'"]
    if stripe_js:
        url = urlsplit(stripe_js)
        host = f"{url.scheme}://{url.netloc}" if url.netloc else "'self'"  # a path: behind the same ingress
        scripts.append(host)
        frames.append(host)
        if url.netloc == _STRIPE:
            scripts.append("https://*.js.stripe.com")
            frames += ["https://*.js.stripe.com", "https://hooks.stripe.com"]
            calls.append("https://api.stripe.com")
            images.append("https://*.stripe.com")
        else:
            calls.append(host)
    directives = {
        "default-src": ["'none'"],
        "script-src": scripts,
        "style-src": ["'self'"],
        "font-src": ["'self'"],
        "img-src": images,
        "connect-src": calls,
        "frame-src": frames or ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
    }
    return "; ".join(f"{name} {' '.join(dict.fromkeys(sources))}" for name, sources in directives.items())


_DEFAULTS = {
    "Content-Security-Policy": content_security_policy(),
    "X-Content-Type-Options": "nosniff",
    # A form posted from a page without any referrer would bear `Origin: null`, which is refused.
    "Referrer-Policy": "same-origin",
    # The back button, too, shows what is so now, and nothing of it once one has signed out.
    "Cache-Control": "no-store",
}

_RETRY_AFTER = "1"
"""Seconds, as the services answer."""


class SafeHeaders:
    """Adds the headers above, and to a 503 `Retry-After`, to every answer that does not set them itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _DEFAULTS.items():
                    headers.setdefault(name, value)
                if message["status"] == 503:
                    headers.setdefault("Retry-After", _RETRY_AFTER)
            await send(message)

        await self._app(scope, receive, send_with_headers)
