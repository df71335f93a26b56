"""Log lines: their form, their level, the secrets hidden in them, and a closed output."""

import io
import json
import logging
import subprocess
import sys

import pytest

from ticketing_common.config import SessionSettings
from ticketing_common.http.app import create_app
from ticketing_common.observability.logs import configure_logs, get_logger
from ticketing_common.testing import JWT_KEY, serve_app

log = get_logger("levels")


def read_lines(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


async def test_request_is_logged_in_one_line_with_its_ids_status_and_duration(capsys):
    app = create_app("notes", SessionSettings(jwt_key=JWT_KEY))
    trace = "ab" * 16
    async with serve_app(app) as client:
        headers = {"x-request-id": "req-1", "traceparent": f"00-{trace}-{'1' * 16}-01"}
        await client.get("/unknown?q=secret", headers=headers)
    (line,) = (line for line in read_lines(capsys) if line["logger"] == "http")
    assert isinstance(line.pop("ms"), float)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "service": "notes",
        "event": "GET /unknown",
        "level": "info",
        "logger": "http",
        "request_id": "req-1",
        "status": 404,
        "trace_id": trace,
    }


def test_lines_of_libraries_have_the_same_form_as_ours(capsys):
    configure_logs("info", "json", "notes")
    get_logger("ours").warning("it rains", mm=3)
    logging.getLogger("theirs").warning("it %s", "rains")
    ours, theirs = read_lines(capsys)
    assert ours.pop("mm") == 3
    assert (ours.pop("logger"), theirs.pop("logger")) == ("ours", "theirs")
    del ours["timestamp"], theirs["timestamp"]
    assert ours == theirs == {"service": "notes", "event": "it rains", "level": "warning"}


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_exception_is_logged_with_its_traceback_in_one_entry(capsys, log_format):
    configure_logs("info", log_format, "notes")
    try:
        raise RuntimeError("no luck")
    except RuntimeError:
        get_logger("failing").exception("it failed", attempt=2)
    written = capsys.readouterr().out
    assert "no luck" in written
    assert "test_exception_is_logged" in written
    assert "it failed" in written
    if log_format == "json":
        (line,) = written.splitlines()
        assert json.loads(line)["level"] == "error"


@pytest.mark.parametrize(("level", "count"), [("debug", 3), ("info", 2), ("warning", 1), ("error", 0)])
def test_lines_below_the_level_configured_last_are_not_written(capsys, level, count):
    configure_logs(level, "json", "notes")
    log.debug("a")
    log.info("b")
    log.warning("c")
    assert len(read_lines(capsys)) == count


def test_logging_to_a_closed_output_raises_no_error(monkeypatch):
    class Closed(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    configure_logs("info", "json", "notes")
    log = get_logger("closed")
    monkeypatch.setattr(sys, "stdout", Closed())
    log.info("first")
    sys.stdout.close()
    log.info("second")


PASSWORD = "hunter2-hunter2"


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("logger", ["ours", "library's"])
def test_traceback_does_not_contain_the_variables_of_its_frames(capsys, log_format, logger):
    configure_logs("info", log_format, "notes")
    password = PASSWORD
    try:
        raise RuntimeError("no luck")
    except RuntimeError:
        if logger == "ours":
            get_logger("failing").exception("it failed")
        else:
            logging.getLogger("failing").exception("it failed")
    written = capsys.readouterr().out
    assert "no luck" in written
    assert password not in written


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("name", ["uvicorn.error", "stripe", "pymongo.client", "httpx", "rq.worker", "any"])
def test_secrets_are_hidden_in_the_lines_of_libraries(capsys, log_format, name):
    configure_logs("debug", log_format, "notes")
    logging.getLogger(name).warning(
        "password=%s of %s", PASSWORD, "ann@example.com", exc_info=ValueError(JWT_KEY)
    )
    logging.getLogger(name).warning("%d", "sk_live_abc123")  # cannot be formatted
    written = "".join(capsys.readouterr())
    assert "a***@example.com" in written
    for secret in (PASSWORD, "ann@", "sk_live_abc123"):
        assert secret not in written


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_secrets_are_hidden_in_every_part_of_our_lines(capsys, log_format):
    configure_logs("info", log_format, "notes")
    SessionSettings(jwt_key=JWT_KEY)
    get_logger("ours").warning(
        f"bad token {JWT_KEY}", password=PASSWORD, nested={"to": ["ann@example.com"]}, body=b"session=abc123"
    )
    written = capsys.readouterr().out
    for secret in (JWT_KEY, PASSWORD, "ann@", "abc123"):
        assert secret not in written


def test_secrets_are_hidden_in_printed_text(capsys):
    configure_logs("error", "console", "notes")
    print("to ann@example.com", file=sys.stdout)
    print("to bob@example.com", file=sys.stderr)
    sys.stderr.writelines(["to eve@example.com"])
    assert capsys.readouterr() == ("to a***@example.com\n", "to b***@example.com\nto e***@example.com")


def test_secrets_are_hidden_in_the_traceback_that_ends_a_thread_or_the_process():
    program = """
import threading
from ticketing_common.config import SessionSettings, load_settings
settings = load_settings(SessionSettings, "notes")
message = f"{settings.jwt_key} ann@example.com mongodb://me:s3cret@db/notes"


def crash():
    raise RuntimeError(message)


thread = threading.Thread(target=crash)
thread.start()
thread.join()
crash()
"""
    environment = {"JWT_KEY": JWT_KEY}
    result = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.count("RuntimeError: ['***'] a***@example.com mongodb://***@db/notes") == 2


def test_ids_of_a_request_are_not_hidden(capsys):
    configure_logs("info", "json", "notes")
    ids = {
        "order": "555555555555555555555555",
        "request_id": "4242" * 8,
        "trace_id": "4242" * 8,
        "amount_cents": 1999,
    }
    get_logger("ours").info("settled", **ids)
    (line,) = read_lines(capsys)
    assert ids.items() <= line.items()
