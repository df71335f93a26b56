"""Malformed requests, ambiguous requests and bodies of invalid JSON, as bytes."""


def get(path: str | bytes, *headers: bytes) -> bytes:
    path = path if isinstance(path, bytes) else path.encode()
    lines = [b"GET " + path + b" HTTP/1.1", b"Host: localhost", b"Connection: close", *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def post(path: str, headers: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}"
    return head.encode("latin-1") + b"\r\n\r\n" + body


def _line(line: bytes) -> bytes:
    return line + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n"


_BROWSE = "/api/tickets?limit=1"

MALFORMED = {
    "garbage": b"\x00\xff\xfe garbage\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100) + b"\r\n\r\n",
    "method with a NUL": _line(b"G\x00T / HTTP/1.1"),
    "unknown method": _line(b"BREW /api/tickets HTTP/1.1"),
    "lower case method": _line(b"get /api/tickets HTTP/1.1"),
    "TRACE": _line(b"TRACE /api/tickets HTTP/1.1"),
    "OPTIONS *": _line(b"OPTIONS * HTTP/1.1"),
    "version 9.9": _line(b"GET /api/tickets HTTP/9.9"),
    "method only": b"GET\r\n\r\n",
    "no Host": b"GET /api/tickets HTTP/1.1\r\nConnection: close\r\n\r\n",
    "two Hosts": get(_BROWSE, b"Host: other.example"),
    "invalid Host": b"GET /api/tickets HTTP/1.1\r\nHost: a b/c\r\nConnection: close\r\n\r\n",
    "folded header": get(_BROWSE, b"X-A: b\r\n c"),
    "space before the colon": get(_BROWSE, b"X-A : b"),
    "header without a colon": get(_BROWSE, b"nonsense"),
    "NUL in a header": get(_BROWSE, b"X-A: b\x00c"),
    "CR in a header": get(_BROWSE, b"X-A: b\rX-B: c"),
    "bare LF": b"GET /api/tickets?limit=1 HTTP/1.1\nHost: localhost\nConnection: close\n\n",
    "header of 1 MB": get(_BROWSE, b"X-A: " + b"a" * 1_000_000),
    "10,000 headers": get(_BROWSE, *(b"X-%d: a" % n for n in range(10_000))),
    "NUL in the path": get(b"/api/tick\x00ets"),
    "overlong path": get("/api/tickets/" + "a" * 200_000),
    "overlong query": get("/api/tickets?q=" + "a" * 60_000),
    "10,000 parameters": get("/api/tickets?" + "a=1&" * 10_000),
    "absolute-form": get("http://localhost/api/tickets?limit=1"),
    "absolute-form of another host": get("http://other.example/api/tickets?limit=1"),
    "invalid percent-encoding": get("/api/tickets/%zz"),
    "invalid percent-encoding in the query": get("/api/tickets?q=%zz"),
    "path is not UTF-8": get(b"/api/tickets/\xff\xfe"),
    "encoded path is not UTF-8": get("/api/tickets/%ff%fe"),
    "query is not UTF-8": get("/api/tickets?q=%ff%fe"),
    "lone surrogate in the query": get("/api/tickets?q=%ed%a0%80"),
    "encoded NUL in the path": get("/api/tickets/%00"),
    "NUL in the cursor": get("/api/tickets?cursor=%00%ff"),
    "NUL in the seller's id": get("/api/tickets?sellerId=%00"),
    "limit of 5,000 digits": get("/api/tickets?limit=" + "9" * 5_000),
    "MongoDB operator in the query": get("/api/tickets?sellerId[$gt]=&q[$ne]=x"),
    "parent folders": get("/api/tickets/../../healthz"),
    "encoded parent folders": get("/api/tickets/%2e%2e/%2e%2e/metrics"),
    "parent folder with encoded slashes": get("/api/tickets/..%2f..%2fmetrics"),
    "two slashes": get("//api/tickets"),
    "backslash": get("/api\\tickets"),
    "line break in the query": get("/api/tickets?q=a%0d%0aX-Injected:%20yes"),
    "line break in a redirect": get("/orders/%0d%0aX-Injected:%20yes"),
    "cookie is not UTF-8": get("/api/orders", b"Cookie: session=\xff\xfe"),
    "cookie of 8 KB": get("/api/orders", b"Cookie: session=" + b"a.b.c" * 1_600),
    "Last-Event-ID is not UTF-8": get(_BROWSE, b"Last-Event-ID: \xff"),
    "invalid traceparent": get(_BROWSE, b"traceparent: \xff-00"),
    "Origin is not UTF-8": post(
        "/api/orders", "Origin: \xff\r\nContent-Length: 2\r\nConnection: close", b"{}"
    ),
    "length with a sign": post("/api/orders", "Content-Length: +5", b"{}"),
    "negative length": post("/api/orders", "Content-Length: -1", b"{}"),
    "length in hex": post("/api/orders", "Content-Length: 0x2", b"{}"),
    "length of 5,000 digits": post("/api/orders", "Content-Length: " + "9" * 5_000, b"{}"),
    "invalid chunk size": post("/api/orders", "Transfer-Encoding: chunked", b"zz\r\nab\r\n0\r\n\r\n"),
    "huge chunk size": post("/api/orders", "Transfer-Encoding: chunked", b"f" * 17 + b"\r\nab"),
    "chunks with bare LF": post("/api/orders", "Transfer-Encoding: chunked", b"2\n{}\n0\n\n"),
    "chunk longer than its size": post("/api/orders", "Transfer-Encoding: chunked", b"2\r\n{}XX0\r\n\r\n"),
    "overlong chunk extension": post(
        "/api/orders",
        "Transfer-Encoding: chunked\r\nConnection: close",
        b"2;a=" + b"b" * 10_000 + b"\r\n{}\r\n0\r\n\r\n",
    ),
    "Content-Length in the trailer": post(
        "/api/orders",
        "Transfer-Encoding: chunked\r\nTrailer: Content-Length\r\nConnection: close",
        b"2\r\n{}\r\n0\r\nContent-Length: 50\r\n\r\n",
    ),
    "unknown Expect": post("/api/orders", "Content-Length: 2\r\nExpect: 200-ok\r\nConnection: close", b"{}"),
}

_SECOND = b"GET /api/tickets?smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
_CHUNKED = b"0\r\n\r\n" + _SECOND

AMBIGUOUS = {
    "length, then chunks": post("/api/orders", "Content-Length: 6\r\nTransfer-Encoding: chunked", _CHUNKED),
    "chunks, then length": post("/api/orders", "Transfer-Encoding: chunked\r\nContent-Length: 6", _CHUNKED),
    "two lengths": post("/api/orders", f"Content-Length: 0\r\nContent-Length: {len(_SECOND)}", _SECOND),
    "two lengths in one header": post("/api/orders", f"Content-Length: 0, {len(_SECOND)}", _SECOND),
    "length with a space": post("/api/orders", "Content-Length : 0", _SECOND),
    "xchunked": post("/api/orders", "Transfer-Encoding: xchunked", _CHUNKED),
    "chunked twice": post(
        "/api/orders", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", _CHUNKED
    ),
    "chunked, then identity": post(
        "/api/orders", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", _CHUNKED
    ),
    "chunked after a vertical tab": post("/api/orders", "Transfer-Encoding:\x0bchunked", _CHUNKED),
    "chunked in HTTP/1.0": post("/api/orders", "Transfer-Encoding: chunked", _CHUNKED).replace(
        b"HTTP/1.1", b"HTTP/1.0", 1
    ),
}
"""Some HTTP parsers end the body before the second request, and others after it."""

SMUGGLED = {
    # llhttp, the parser of uvicorn, uses only the last coding. The ingress forwards no such request.
    "identity, then chunked": post("/api/orders", "Transfer-Encoding: identity, chunked", _CHUNKED),
    "second request after a chunk": post("/api/orders", "Transfer-Encoding: chunked", b"2\r\n{}" + _SECOND),
    "GET with a body": get("/api/tickets?limit=1", b"Content-Length: %d" % len(_SECOND)) + _SECOND,
}
"""More of them, for the ingress only."""


def _ticket(title: bytes, price: bytes = b"1") -> bytes:
    return b'{"title":' + title + b',"price":' + price + b"}"


INVALID_JSON = {
    "nested arrays": b"[" * 32_000 + b"]" * 32_000,
    "nested objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "unclosed arrays": b"[" * 65_000,
    "nested arrays as title": _ticket(b"[" * 30_000 + b"]" * 30_000),
    "integer of 60,000 digits": _ticket(b'"a"', b"9" * 60_000),
    "integer of 4,000 digits": _ticket(b'"a"', b"9" * 4_000),
    "1e400": _ticket(b'"a"', b"1e400"),
    "1e308": _ticket(b'"a"', b"1e308"),
    "-1e400": _ticket(b'"a"', b"-1e400"),
    "1e-400": _ticket(b'"a"', b"1e-400"),
    "NaN": _ticket(b'"a"', b"NaN"),
    "Infinity": _ticket(b'"a"', b"Infinity"),
    "true": _ticket(b'"a"', b"true"),
    "lone surrogate": _ticket(rb'"\ud800"'),
    "lone surrogates in both fields": _ticket(rb'"\udfff\ud800"', rb'"\ud800"'),
    "lone surrogate as UTF-8": _ticket(b'"\xed\xa0\x80"'),
    "not UTF-8": _ticket(b'"\xff\xfe"'),
    "unescaped NUL": _ticket(b'"a\x00b"'),
    "format strings": _ticket(b'"{name} {0} %s"', b'"{name}"'),
    "MongoDB operators": _ticket(b'{"$gt":""}', b'{"$gt":0}'),
    "title of 65,000 characters": _ticket(b'"' + b"a" * 65_000 + b'"'),
    "null": b"null",
    "number": b"1",
    "string": b'"x"',
    "array": b"[]",
    "empty": b"",
    "white space": b"  \r\n ",
    "opening brace": b"{",
}

UNUSUAL_JSON = {
    "repeated keys": b'{"title":"a","title":"b","price":1,"price":2}',
    "lone surrogate as key": rb'{"\ud800":1,"title":"a","price":1}',
    "__proto__": b'{"__proto__":{"a":1},"title":"a","price":1}',
    "byte order mark": b"\xef\xbb\xbf" + _ticket(b'"a"'),
    "60,000 decimals": _ticket(b'"a"', b"1." + b"0" * 60_000),
    "escaped NUL": _ticket(rb'"a\u0000b"'),
}
