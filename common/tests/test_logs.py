"""What a line of the log says, and that a log which nobody takes stops nothing."""

import io
import json
import logging
import sys

import pytest

from ticketing_common.app import Parts, create_app
from ticketing_common.config import SessionSettings
from ticketing_common.logs import configure_logs, get_logger
from ticketing_common.testing import JWT_KEY, serve_app

log = get_logger("levels")


def lines(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


async def test_a_request_is_one_line_with_its_ids_status_and_time(capsys):
    parts = Parts(name="notes", settings=SessionSettings(jwt_key=JWT_KEY))
    trace = "ab" * 16
    async with serve_app(create_app(parts)) as client:
        headers = {"x-request-id": "req-1", "traceparent": f"00-{trace}-{'1' * 16}-01"}
        await client.get("/unknown?q=secret", headers=headers)
    (line,) = (line for line in lines(capsys) if line["logger"] == "http")
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


def test_a_librarys_line_has_the_same_form_as_ours(capsys):
    configure_logs("info", "json", "notes")
    get_logger("ours").warning("it rains", mm=3)
    logging.getLogger("theirs").warning("it %s", "rains")
    ours, theirs = lines(capsys)
    assert ours.pop("mm") == 3
    assert (ours.pop("logger"), theirs.pop("logger")) == ("ours", "theirs")
    del ours["timestamp"], theirs["timestamp"]
    assert ours == theirs == {"service": "notes", "event": "it rains", "level": "warning"}


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_an_exception_is_told_in_full_and_in_one_place(capsys, log_format):
    configure_logs("info", log_format, "notes")
    try:
        raise RuntimeError("no luck")
    except RuntimeError:
        get_logger("failing").exception("it failed", attempt=2)
    said = capsys.readouterr().out
    assert "no luck" in said
    assert "test_an_exception_is_told" in said
    assert "it failed" in said
    if log_format == "json":
        (line,) = said.splitlines()
        assert json.loads(line)["level"] == "error"


@pytest.mark.parametrize(("level", "said"), [("debug", 3), ("info", 2), ("warning", 1), ("error", 0)])
def test_what_is_below_the_level_configured_last_is_not_said(capsys, level, said):
    configure_logs(level, "json", "notes")
    log.debug("a")
    log.info("b")
    log.warning("c")
    assert len(lines(capsys)) == said


def test_a_log_that_nobody_takes_stops_nothing(monkeypatch):
    class Gone(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    configure_logs("info", "json", "notes")
    log = get_logger("gone")
    monkeypatch.setattr(sys, "stdout", Gone())
    log.info("nobody hears this")
    sys.stdout.close()
    log.info("nor this")
