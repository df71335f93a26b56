"""Stores everything that survives a restart in one SQLite file. An index serves every query."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from stripe_stand_in.errors import Json

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    created INTEGER NOT NULL,
    hidden TEXT,                -- the outcome of a card; no answer contains it
    body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS objects_by_kind ON objects (kind, seq);
CREATE INDEX IF NOT EXISTS objects_by_age ON objects (kind, created, seq);
CREATE TABLE IF NOT EXISTS links (     -- a value by which a list of this kind can be filtered
    kind TEXT NOT NULL,
    link TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (kind, link, seq)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS chores (    -- delayed work
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    due REAL NOT NULL,                 -- Unix time, as is begun
    what TEXT NOT NULL,
    object_id TEXT NOT NULL,
    begun REAL NOT NULL,
    failures INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS chores_by_time ON chores (due);
CREATE INDEX IF NOT EXISTS chores_by_what ON chores (what);
CREATE TABLE IF NOT EXISTS idempotency_keys (
    key TEXT PRIMARY KEY,
    created INTEGER NOT NULL,
    path TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    request_id TEXT NOT NULL,
    status INTEGER NOT NULL,
    body TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS idempotency_keys_by_age ON idempotency_keys (created);
"""

# By name, so that a test can check the query plan of each statement.
STATEMENTS = {
    "insert": "INSERT INTO objects (id, kind, created, hidden, body) VALUES (?, ?, ?, ?, ?)",
    "replace": "UPDATE objects SET hidden = COALESCE(?, hidden), body = ? WHERE id = ?",
    "get": "SELECT body, hidden, seq FROM objects WHERE id = ? AND kind = ?",
    "page": "SELECT body FROM objects WHERE kind = ? AND seq > ? AND seq < ? ORDER BY seq DESC LIMIT ?",
    "link": "INSERT INTO links (kind, link, seq) VALUES (?, ?, ?)",
    "linked_page": "SELECT body FROM links JOIN objects ON objects.seq = links.seq WHERE links.kind = ? "
    "AND link = ? AND links.seq > ? AND links.seq < ? ORDER BY links.seq DESC LIMIT ?",
    "last_created": "SELECT created FROM objects WHERE kind = ? ORDER BY created DESC LIMIT 1",
    "first_since": "SELECT seq FROM objects WHERE kind = ? AND created >= ? ORDER BY created, seq LIMIT 1",
    "add_chore": "INSERT INTO chores (due, what, object_id, begun, failures) VALUES (?, ?, ?, ?, 0)",
    "chores": "SELECT id, due, what, object_id, begun, failures FROM chores "
    "WHERE due > 0 ORDER BY due LIMIT ?",
    "count_chores": "SELECT count(*) FROM chores WHERE what = ?",
    "postpone_chore": "UPDATE chores SET due = ?, failures = failures + 1 WHERE id = ?",
    "delete_chore": "DELETE FROM chores WHERE id = ?",
    "get_answer": "SELECT path, fingerprint, request_id, status, body FROM idempotency_keys "
    "WHERE key = ? AND created > ?",
    "put_answer": "INSERT OR REPLACE INTO idempotency_keys VALUES (?, ?, ?, ?, ?, ?, ?)",
    # Ten at a time, so that no single call pays for many.
    "delete_answers": "DELETE FROM idempotency_keys WHERE key IN "
    "(SELECT key FROM idempotency_keys WHERE created <= ? ORDER BY created LIMIT 10)",
}

END = 2**63 - 1
"""Greater than every seq."""


class Stored(NamedTuple):
    body: Json
    outcome: str
    """How the card behaves (see cards.py); empty for an object without a card."""
    seq: int


class Chore(NamedTuple):
    """Delayed work on an object."""

    id: int
    due: float
    what: str
    object_id: str
    begun: float
    failures: int


class StoredAnswer(NamedTuple):
    """The first answer to an idempotency key."""

    path: str
    fingerprint: str
    request_id: str
    status: int
    body: str


class Store:
    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        # isolation_level=None: only `transaction` begins a transaction.
        self._db = sqlite3.connect(directory / "stripe.sqlite3", isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        # In WAL mode a commit survives kill -9 without a sync; only a power failure may lose the last one.
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        with self._db:  # commits, or rolls back on an exception
            yield

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Inside a transaction; an exception rolls back only what was written inside the savepoint."""
        self._db.execute("SAVEPOINT attempt")
        try:
            yield
        except BaseException:
            if self._db.in_transaction:  # SQLite ends it by itself after some errors, such as a full disk
                self._db.execute("ROLLBACK TO attempt")
            raise

    def insert(self, body: Json, outcome: str | None = None, *, link: str | None = None) -> None:
        """`link`: a value by which a list can be filtered."""
        row = (body["id"], body["object"], body["created"], outcome, json.dumps(body))
        seq = self._execute("insert", *row).lastrowid
        if link:
            self._execute("link", body["object"], link, seq)

    def replace(self, body: Json, outcome: str | None = None) -> None:
        """Without `outcome` the stored outcome stays."""
        self._execute("replace", outcome, json.dumps(body), body["id"])

    def get(self, kind: str, object_id: str) -> Stored | None:
        row = self._execute("get", object_id, kind).fetchone()
        return row and Stored(json.loads(row[0]), row[1] or "", row[2])

    def page(self, kind: str, after: int, before: int, limit: int, link: str | None = None) -> list[Json]:
        """The newest objects with after < seq < before, newest first."""
        if link is None:
            rows = self._execute("page", kind, after, before, limit)
        else:
            rows = self._execute("linked_page", kind, link, after, before, limit)
        return [json.loads(body) for (body,) in rows]

    def first_since(self, kind: str, created: int) -> int:
        """The seq of the first object created at that Unix time or later, or END."""
        row = self._execute("first_since", kind, created).fetchone()
        return int(row[0]) if row else END

    def last_created(self, kind: str) -> int:
        row = self._execute("last_created", kind).fetchone()
        return int(row[0]) if row else 0

    def add_chore(self, due: float, what: str, object_id: str, now: float) -> None:
        self._execute("add_chore", due, what, object_id, now)

    def chores(self, limit: int) -> list[Chore]:
        """Earliest due first."""
        return [Chore(*row) for row in self._execute("chores", limit)]

    def count_chores(self, what: str) -> int:
        return int(self._execute("count_chores", what).fetchone()[0])

    def postpone_chore(self, chore: Chore, due: float) -> None:
        self._execute("postpone_chore", due, chore.id)

    def delete_chore(self, chore: Chore) -> None:
        self._execute("delete_chore", chore.id)

    def get_answer(self, key: str, younger_than: int) -> StoredAnswer | None:
        row = self._execute("get_answer", key, younger_than).fetchone()
        return row and StoredAnswer(*row)

    def put_answer(self, key: str, created: int, answer: StoredAnswer) -> None:
        self._execute("put_answer", key, created, *answer)

    def delete_answers(self, not_younger_than: int) -> None:
        self._execute("delete_answers", not_younger_than)

    def _execute(self, statement: str, *parameters: object) -> sqlite3.Cursor:
        return self._db.execute(STATEMENTS[statement], parameters)
