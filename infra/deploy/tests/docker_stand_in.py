"""A docker without images: `run` starts a small server, with the fault that the image's name selects."""

import http.server
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ARGUMENTS = sys.argv[1:]
FAULT = next((word.partition(":")[0] for word in ARGUMENTS if word.endswith(":smoke")), "")


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(503 if FAULT == "never-ready" else 200)
        self.end_headers()


def inspect(command: list[str]) -> None:
    """Runs the real script among the programs of an image that has the fault."""
    with tempfile.TemporaryDirectory() as folder:
        programs = {
            "id": f"echo {0 if FAULT == 'root' else 10001}",
            "find": f'case "{FAULT} $*" in writable*-writable | test-code*-path*) echo /app/bin;; esac',
            "sed": 'exec /bin/sed "$@"',
            **({"gcc": "true"} if FAULT == "compiler" else {}),
        }
        for name, script in programs.items():
            Path(folder, name).write_text(f"#!/bin/sh\n{script}\n")
            Path(folder, name).chmod(0o755)
        subprocess.run(["/bin/sh", *command[1:]], env={"PATH": folder})


def serve() -> None:
    variables = dict(
        word.removeprefix("--env=").split("=", 1) for word in ARGUMENTS if word.startswith("--env=")
    )
    if FAULT == "crashes" or "--read-only" not in ARGUMENTS:
        sys.exit("JWT_KEY is missing")
    signal.signal(signal.SIGTERM, lambda *_: None if FAULT == "deaf" else os._exit(FAULT == "ends-badly"))
    http.server.HTTPServer((variables["HOST"], int(variables["PORT"])), Handler).serve_forever()


if ARGUMENTS[:2] == ["image", "inspect"]:
    print('[{"Config": {"Entrypoint": null, "Cmd": ["serve"]}}]')
elif ARGUMENTS[0] == "run":
    image = next(index for index, word in enumerate(ARGUMENTS) if word.endswith(":smoke"))
    command = ARGUMENTS[image + 1 :]
    inspect(command) if command[0] == "sh" else serve()
