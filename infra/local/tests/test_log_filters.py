"""The terminal shows only warnings and errors of the stores and the ingress."""

import pytest

from ticketing_local import log_filters


@pytest.mark.parametrize(
    ("log_filter", "line", "shown"),
    [
        (log_filters.filter_mongod, '{"s":"I","msg":"Waiting for connections"}', None),
        (log_filters.filter_mongod, '{"s":"W","msg":"No access control","tags":["startupWarnings"]}', None),
        (log_filters.filter_mongod, '{"s":"E","msg":"Disk full","attr":{"free":0}}', 'Disk full {"free": 0}'),
        (log_filters.filter_mongod, "mongod: cannot load libcurl.so.4", "mongod: cannot load libcurl.so.4"),
        (log_filters.filter_nats, "[1] 2026/01/01 00:00:00 [INF] Server is ready", None),
        (
            log_filters.filter_nats,
            "[1] 2026/01/01 00:00:00 [ERR] disk full",
            "[1] 2026/01/01 00:00:00 [ERR] disk full",
        ),
        (log_filters.filter_redis, "1:M 01 Jan 2026 00:00:00.000 * Ready to accept connections", None),
        (
            log_filters.filter_redis,
            "1:M 01 Jan 2026 00:00:00.000 # WARNING Memory overcommit must be enabled!",
            None,
        ),
        (
            log_filters.filter_redis,
            "1:M 01 Jan 2026 00:00:00.000 # Can't write the file",
            "Can't write the file",
        ),
        (log_filters.filter_caddy, '{"level":"warn","msg":"HTTP/2 skipped because it requires TLS"}', None),
        (
            log_filters.filter_caddy,
            '{"level":"error","msg":"connection refused","request":{"method":"GET","uri":"/api/orders"}}',
            "GET /api/orders: connection refused",
        ),
    ],
)
def test_only_warnings_and_errors_are_shown(
    log_filter: log_filters.LogFilter, line: str, shown: str | None
) -> None:
    assert log_filter(line) == shown
