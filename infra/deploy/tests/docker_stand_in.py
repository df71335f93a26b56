"""A docker without images: what `run` runs is a small server, with the fault that the image's name tells."""

import http.server
import json
import os
import signal
import sys

ARGUMENTS = sys.argv[1:]
FAULT = next((word.partition(":")[0] for word in ARGUMENTS if word.endswith(":trial")), "")


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(503 if FAULT == "never-ready" else 200)
        self.end_headers()
        self.wfile.write(b'{"mongo": "down"}')


def look() -> None:
    seen = {
        "uid": 0 if FAULT == "root" else 10001,
        "tools": ["gcc"] if FAULT == "compiler" else [],
        "writable": ["/app/bin"] if FAULT == "writable" else [],
    }
    print(json.dumps(seen))


def serve() -> None:
    told = dict(word.removeprefix("--env=").split("=", 1) for word in ARGUMENTS if word.startswith("--env="))
    if FAULT == "crashes" or "--read-only" not in ARGUMENTS:
        sys.exit("No JWT_KEY, say")
    signal.signal(signal.SIGTERM, lambda *_: None if FAULT == "deaf" else os._exit(FAULT == "ends-badly"))
    http.server.HTTPServer((told["HOST"], int(told["PORT"])), Answers).serve_forever()


if ARGUMENTS[0] == "images":
    print("180MB")
elif ARGUMENTS[0] == "run":
    (look if "--entrypoint=" in ARGUMENTS else serve)()
