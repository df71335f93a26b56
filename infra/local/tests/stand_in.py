"""A stand-in for a service: ready at once; its answers contain its MONGO_URI and the request's path."""

import json
import os
import signal
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

accounts: set[str] = set()


class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/api/tickets/events":
            return self._events()
        self._answer(200, {"service": os.environ.get("MONGO_URI", ""), "path": self.path})

    def do_POST(self) -> None:
        body = self._body()
        if self.path == "/api/users/signup":
            email = json.loads(body)["email"]
            if email in accounts:
                return self._answer(400, {"errors": [{"message": "Email in use"}]})
            accounts.add(email)
        if self.path == "/api/tickets/refuse":
            return self._answer(418, {"errors": [{"message": "the service's message"}]})
        self._answer(201, {"id": "1", "path": self.path, "length": len(body)})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline() or b"0", 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _events(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"data: first\n\n")
        self.wfile.flush()
        time.sleep(3)

    def _answer(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Request-ID", "the-service's-own")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def version_string(self) -> str:
        return "stand-in"

    def log_message(self, format: str, *args: object) -> None:
        print("request:", format % args, flush=True)


if os.environ.get("STUBBORN"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if port := os.environ.get("PORT"):
    print("serving", flush=True)
    ThreadingHTTPServer(("127.0.0.1", int(port)), Service).serve_forever()
print("working", flush=True)  # only the worker has no port
time.sleep(3600)
