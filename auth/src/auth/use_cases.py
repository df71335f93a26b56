"""Signing up and signing in."""

from pydantic import Secret

from auth.models import Account, InvalidCredentials, check_failure_limit
from auth.passwords import hash_password, verify_password
from auth.repository import Accounts
from auth.schemas import UserOut
from ticketing_common.http.idempotency import IdempotencyKeyReused
from ticketing_common.storage.idempotency import KeyedRequest, StoredResponse, request_fields
from ticketing_common.values.clock import now
from ticketing_common.values.ids import new_id


async def sign_up(
    accounts: Accounts, email: str, password: Secret[str], request: KeyedRequest | None = None
) -> str:
    """Create an account. Returns the response body, which is stored with a keyed request.

    Raises EmailInUse and IdempotencyKeyTaken.
    """
    password_hash = await hash_password(password.get_secret_value())
    account = Account(id=new_id(), email=email, password_hash=password_hash)
    response_body = UserOut.of(account).model_dump_json(by_alias=True)
    await accounts.add(account, **request_fields(request, response_body))
    return response_body


async def find_sign_up(
    accounts: Accounts, email: str, password: Secret[str], key: bytes
) -> StoredResponse | None:
    """The response to an earlier sign-up with this Idempotency-Key.

    A repeated sign-up starts a session, so it needs the password and counts as a sign-in. Raises
    IdempotencyKeyReused if the password is wrong, and TooManyAttempts.
    """
    stored = await accounts.find_response(key)
    if stored and not await authenticate(accounts, email, password):
        raise IdempotencyKeyReused
    return stored


async def sign_in(accounts: Accounts, email: str, password: Secret[str]) -> Account:
    """Find the account with this email and password. Raises InvalidCredentials and TooManyAttempts."""
    account = await authenticate(accounts, email, password)
    if account is None:
        raise InvalidCredentials
    return account


async def authenticate(accounts: Accounts, email: str, password: Secret[str]) -> Account | None:
    """The account with this email and password; None counts as a failed sign-in. Raises TooManyAttempts."""
    check_failure_limit(await accounts.find_failures(email), now())
    account = await accounts.find_by_email(email)
    password_hash = account.password_hash if account else None
    matches = await verify_password(password.get_secret_value(), password_hash)
    if account is None or not matches:
        # The write returns the earlier failures, so concurrent guesses cannot exceed the limit.
        failed_at = now()
        check_failure_limit(await accounts.add_failure(email, failed_at), failed_at)
        return None
    # Checked again: concurrent guesses may have reached the limit, and then none of them may succeed.
    check_failure_limit(await accounts.find_failures(email), now())
    await accounts.delete_failures(email)
    return account
