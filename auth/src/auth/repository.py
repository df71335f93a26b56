"""The queries and indexes of the auth service."""

from datetime import datetime
from typing import Any

from pymongo import ASCENDING, IndexModel, ReturnDocument

from auth.models import FAILURE_WINDOW, MAX_FAILURES, Account, EmailInUse
from ticketing_common.storage.documents import Documents, DuplicateDocument
from ticketing_common.storage.idempotency import (
    IDEMPOTENCY_INDEX,
    StoredResponse,
    find_stored_response,
)
from ticketing_common.storage.mongo import Database


class Accounts:
    """Accounts, and the failed sign-ins of each email."""

    def __init__(self, database: Database) -> None:
        self._accounts = Documents(database, "accounts", Account)
        self._failures = database["signin_failures"]

    async def ensure_indexes(self) -> None:
        await self._accounts.ensure_indexes(
            IndexModel([("email", ASCENDING)], unique=True), IDEMPOTENCY_INDEX
        )
        await self._failures.create_indexes([IndexModel([("until", ASCENDING)], expireAfterSeconds=0)])

    async def add(self, account: Account, **derived: Any) -> None:
        """Store a new account; of two concurrent ones with the same email, one.

        `derived`: see `request_fields`. Raises EmailInUse and IdempotencyKeyTaken.
        """
        try:
            await self._accounts.insert(account, **derived)
        except DuplicateDocument:
            raise EmailInUse(field="email") from None

    async def find_response(self, key: bytes) -> StoredResponse | None:
        """The response to an earlier request with this Idempotency-Key. Raises Unavailable."""
        return await find_stored_response(self._accounts.collection, key)

    async def find_by_email(self, email: str) -> Account | None:
        return await self._accounts.find(email=email)

    async def find_failures(self, email: str) -> list[datetime]:
        """The times of the latest failed sign-ins, oldest first, at most MAX_FAILURES."""
        document = await self._failures.find_one({"_id": email})
        return document["failures"] if document else []

    async def add_failure(self, email: str, at: datetime) -> list[datetime]:
        """Record a failed sign-in and return the earlier ones, in one atomic write."""
        before = await self._failures.find_one_and_update(
            {"_id": email},
            {
                "$push": {"failures": {"$each": [at], "$slice": -MAX_FAILURES}},
                "$set": {"until": at + FAILURE_WINDOW},
            },
            upsert=True,
            return_document=ReturnDocument.BEFORE,
        )
        return before["failures"] if before else []

    async def delete_failures(self, email: str) -> None:
        await self._failures.delete_one({"_id": email})
