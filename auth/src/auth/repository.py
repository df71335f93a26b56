"""Every query and index of the auth service."""

from datetime import datetime
from typing import Any

from pymongo import ASCENDING, IndexModel, ReturnDocument

from auth.models import MAX_FAILURES, WINDOW, Account, EmailInUse, refuse_too_many_tries
from ticketing_common import idempotency
from ticketing_common.clock import now
from ticketing_common.idempotency import StoredAnswer
from ticketing_common.mongo import Database, Documents, Duplicate


class Accounts:
    def __init__(self, database: Database) -> None:
        self._accounts = Documents(database, "accounts", Account)
        self._failures = database["signin_failures"]

    async def ensure_indexes(self) -> None:
        await self._accounts.ensure_indexes(
            IndexModel([("email", ASCENDING)], unique=True), idempotency.INDEX
        )
        await self._failures.create_indexes([IndexModel([("until", ASCENDING)], expireAfterSeconds=0)])

    async def add(self, account: Account, **derived: Any) -> None:
        """Raises EmailInUse and KeyTaken; of two at once, one is added.

        `derived`: see idempotency.derive_request.
        """
        try:
            await self._accounts.insert(account, **derived)
        except Duplicate:
            raise EmailInUse(field="email") from None

    async def find_answer(self, key: bytes) -> StoredAnswer | None:
        """The answer to an earlier request with this key. Raises Unavailable."""
        return await idempotency.find_answer(self._accounts.collection, key)

    async def by_email(self, email: str) -> Account | None:
        return await self._accounts.find(email=email)

    async def refuse_too_many_tries(self, email: str) -> None:
        """Raises TooManyTries after too many failures for this address, known or not."""
        found = await self._failures.find_one({"_id": email})
        refuse_too_many_tries(_failures(found), now())

    async def count_failure(self, email: str) -> None:
        """Raises TooManyTries instead when others have used up the tries meanwhile.

        One atomic write, so of tries made at once only the allowed number learn anything.
        """
        moment = now()
        before = await self._failures.find_one_and_update(
            {"_id": email},
            {
                "$push": {"failures": {"$each": [moment], "$slice": -MAX_FAILURES}},
                "$set": {"until": moment + WINDOW},
            },
            upsert=True,
            return_document=ReturnDocument.BEFORE,
        )
        refuse_too_many_tries(_failures(before), moment)

    async def forget_failures(self, email: str) -> None:
        await self._failures.delete_one({"_id": email})


def _failures(document: dict[str, Any] | None) -> list[datetime]:
    return document["failures"] if document else []
