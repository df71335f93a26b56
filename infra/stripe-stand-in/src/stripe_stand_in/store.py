"""Owns what survives a restart: one SQLite file, in which every query is answered by an index."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
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
    hidden TEXT,                -- never shown: an outcome, a token's payment method
    body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS objects_by_kind ON objects (kind, seq);
CREATE INDEX IF NOT EXISTS objects_by_age ON objects (kind, created, seq);
CREATE TABLE IF NOT EXISTS links (     -- which objects a list can be asked for by something else than age
    kind TEXT NOT NULL,
    link TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (kind, link, seq)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS chores (    -- what is to be done at its time, whoever is killed meanwhile
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    due REAL NOT NULL,                 -- Unix time
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

# Every statement, by name, so that a test can ask SQLite how it would answer each of them.
STATEMENTS = {
    "insert": "INSERT INTO objects (id, kind, created, hidden, body) VALUES (?, ?, ?, ?, ?)",
    "replace": "UPDATE objects SET hidden = COALESCE(?, hidden), body = ? WHERE id = ?",
    "get": "SELECT seq, hidden, body FROM objects WHERE id = ? AND kind = ?",
    "newest": "SELECT body FROM objects WHERE kind = ? AND seq > ? AND seq < ? ORDER BY seq DESC LIMIT ?",
    "oldest": "SELECT body FROM objects WHERE kind = ? AND seq > ? AND seq < ? ORDER BY seq LIMIT ?",
    "link": "INSERT INTO links (kind, link, seq) VALUES (?, ?, ?)",
    "newest_linked": "SELECT body FROM links JOIN objects ON objects.seq = links.seq WHERE links.kind = ? "
    "AND link = ? AND links.seq > ? AND links.seq < ? ORDER BY links.seq DESC LIMIT ?",
    "oldest_linked": "SELECT body FROM links JOIN objects ON objects.seq = links.seq WHERE links.kind = ? "
    "AND link = ? AND links.seq > ? AND links.seq < ? ORDER BY links.seq LIMIT ?",
    "put_chore": "INSERT INTO chores (due, what, object_id, begun, failures) VALUES (?, ?, ?, ?, 0)",
    "chores": "SELECT id, due, what, object_id, begun, failures FROM chores "
    "WHERE due > 0 ORDER BY due LIMIT ?",
    "count_chores": "SELECT count(*) FROM chores WHERE what = ?",
    "put_off_chore": "UPDATE chores SET due = ?, failures = failures + 1 WHERE id = ?",
    "drop_chore": "DELETE FROM chores WHERE id = ?",
    "last_created": "SELECT created FROM objects WHERE kind = ? ORDER BY created DESC LIMIT 1",
    "first_since": "SELECT seq FROM objects WHERE kind = ? AND created >= ? ORDER BY created, seq LIMIT 1",
    "key": "SELECT path, fingerprint, request_id, status, body FROM idempotency_keys "
    "WHERE key = ? AND created > ?",
    "keep_key": "INSERT OR REPLACE INTO idempotency_keys VALUES (?, ?, ?, ?, ?, ?, ?)",
    # A few at a time: each call that keeps one key drops at most ten old ones.
    "drop_keys": "DELETE FROM idempotency_keys WHERE key IN "
    "(SELECT key FROM idempotency_keys WHERE created <= ? ORDER BY created LIMIT 10)",
}

END = 2**63 - 1  # beyond every seq


class Kept(NamedTuple):
    """An object as the store has it."""

    body: Json
    hidden: str | None
    seq: int


class Chore(NamedTuple):
    """Something to be done to an object at its time."""

    id: int
    due: float
    what: str
    object_id: str
    begun: float
    failures: int


class KeptAnswer(NamedTuple):
    """The first answer to an idempotency key."""

    path: str
    fingerprint: str
    request_id: str
    status: int
    body: str


class Store:
    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        # isolation_level=None: transactions begin where `transaction` says, and nowhere else.
        self._db = sqlite3.connect(directory / "stripe.sqlite3", isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        # In WAL mode a commit outlives the process without a sync; only a power cut may lose the last.
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written inside is kept together, or, when an exception leaves it, not at all."""
        with self._undoing("BEGIN IMMEDIATE", "COMMIT", "ROLLBACK"):
            yield

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Inside a transaction: what can be undone without undoing the rest."""
        with self._undoing("SAVEPOINT attempt", "RELEASE attempt", "ROLLBACK TO attempt; RELEASE attempt"):
            yield

    @contextmanager
    def _undoing(self, begin: str, keep: str, undo: str) -> Iterator[None]:
        self._db.execute(begin)
        try:
            yield
            self._db.execute(keep)
        except BaseException:
            for statement in undo.split(";"):
                if self._db.in_transaction:  # SQLite itself leaves it after some errors, such as a full disk
                    self._db.execute(statement)
            raise

    def insert(self, body: Json, hidden: str | None = None, links: Sequence[str] = ()) -> None:
        """`links`: what the object can be listed by."""
        row = (body["id"], body["object"], body["created"], hidden, json.dumps(body))
        seq = self._db.execute(STATEMENTS["insert"], row).lastrowid
        for link in links:
            self._db.execute(STATEMENTS["link"], (body["object"], link, seq))

    def replace(self, body: Json, hidden: str | None = None) -> None:
        """What is hidden stays, unless something else is to be."""
        self._db.execute(STATEMENTS["replace"], (hidden, json.dumps(body), body["id"]))

    def get(self, kind: str, object_id: str) -> Kept | None:
        row = self._db.execute(STATEMENTS["get"], (object_id, kind)).fetchone()
        return row and Kept(seq=row[0], hidden=row[1], body=json.loads(row[2]))

    def page(
        self, kind: str, after: int, before: int, limit: int, *, oldest: bool = False, link: str | None = None
    ) -> list[Json]:
        """The newest (or oldest) objects whose seq is strictly between the two; in that order."""
        statement = STATEMENTS[("oldest" if oldest else "newest") + ("" if link is None else "_linked")]
        which = (kind,) if link is None else (kind, link)
        rows = self._db.execute(statement, (*which, after, before, limit))
        return [json.loads(body) for (body,) in rows]

    def put_chore(self, due: float, what: str, object_id: str, now: float) -> None:
        self._db.execute(STATEMENTS["put_chore"], (due, what, object_id, now))

    def chores(self, limit: int) -> list[Chore]:
        """Those that are due first."""
        return [Chore(*row) for row in self._db.execute(STATEMENTS["chores"], (limit,))]

    def count_chores(self, what: str) -> int:
        (number,) = self._db.execute(STATEMENTS["count_chores"], (what,)).fetchone()
        return int(number)

    def put_off_chore(self, chore: Chore, due: float) -> None:
        self._db.execute(STATEMENTS["put_off_chore"], (due, chore.id))

    def drop_chore(self, chore: Chore) -> None:
        self._db.execute(STATEMENTS["drop_chore"], (chore.id,))

    def first_since(self, kind: str, created: int) -> int:
        """The seq of the first object created then or later; END when there is none."""
        row = self._db.execute(STATEMENTS["first_since"], (kind, created)).fetchone()
        return int(row[0]) if row else END

    def last_created(self, kind: str) -> int:
        row = self._db.execute(STATEMENTS["last_created"], (kind,)).fetchone()
        return int(row[0]) if row else 0

    def answer_to(self, key: str, younger_than: int) -> KeptAnswer | None:
        row = self._db.execute(STATEMENTS["key"], (key, younger_than)).fetchone()
        return row and KeptAnswer(*row)

    def keep_answer(self, key: str, created: int, answer: KeptAnswer) -> None:
        self._db.execute(STATEMENTS["keep_key"], (key, created, *answer))

    def drop_answers(self, not_younger_than: int) -> None:
        self._db.execute(STATEMENTS["drop_keys"], (not_younger_than,))
