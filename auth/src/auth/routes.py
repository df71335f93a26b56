"""The HTTP routes of the auth service."""

from typing import Annotated

from fastapi import Depends, Request, Response
from pydantic import Secret

from auth.config import Settings
from auth.models import Account, InvalidCredentials
from auth.passwords import hash_password, matches
from auth.repository import Accounts
from auth.schemas import CurrentUserOut, SignedOut, SignIn, SignUp, UserOut
from ticketing_common.app import api_router, part
from ticketing_common.auth import OptionalUser, User, end_session, start_session
from ticketing_common.idempotency import (
    REPEATABLE,
    IdempotencyKey,
    KeyReused,
    StoredAnswer,
    answer_once,
    created,
    derive_request,
    keyed_request,
)
from ticketing_common.mongo import new_id

PREFIX = "/api/users"
router = api_router(PREFIX, "users")


AccountsDep = Annotated[Accounts, Depends(part("accounts"))]
SettingsDep = Annotated[Settings, Depends(part("settings"))]


@router.post("/signup", status_code=201, response_model=UserOut, responses=REPEATABLE)
async def sign_up(
    body: SignUp,
    accounts: AccountsDep,
    settings: SettingsDep,
    request: Request,
    key: IdempotencyKey = None,
) -> Response:
    """Make an account and sign in."""
    keyed = await keyed_request(request, key, owner=body.email, secret="password")

    async def make_account() -> str:
        password_hash = await hash_password(body.password.get_secret_value())
        account = Account(id=new_id(), email=body.email, password_hash=password_hash)
        answer = _user(account).model_dump_json(by_alias=True)
        await accounts.add(account, **derive_request(keyed, answer))
        return answer

    async def find_answer(key: bytes) -> StoredAnswer | None:
        # A repetition starts a session, so it needs the password and counts as a sign-in.
        stored = await accounts.find_answer(key)
        if stored and not await _authenticate(body.email, body.password, accounts):
            raise KeyReused
        return stored

    answer = await answer_once(keyed, make_account, find_answer)
    response = created(answer)
    user = UserOut.model_validate_json(answer)
    start_session(response, User(user.id, user.email), settings)
    return response


@router.post("/signin", status_code=201)
async def sign_in(body: SignIn, response: Response, accounts: AccountsDep, settings: SettingsDep) -> UserOut:
    """Sign in; refused after too many failures for one address, with the right password too."""
    account = await _authenticate(body.email, body.password, accounts)
    if account is None:
        raise InvalidCredentials
    start_session(response, User(account.id, account.email), settings)
    return _user(account)


@router.post("/signout")
async def sign_out(response: Response, settings: SettingsDep) -> SignedOut:
    """Forget the session, whether there is one or not."""
    end_session(response, settings)
    return SignedOut()


@router.get("/currentuser")
async def who_am_i(user: OptionalUser) -> CurrentUserOut:
    """Who is signed in; null for nobody."""
    return CurrentUserOut(current_user=user and UserOut(id=user.id, email=user.email))


async def _authenticate(email: str, password: Secret[str], accounts: Accounts) -> Account | None:
    """The account with this email and password; a failure is counted. Raises TooManyTries."""
    await accounts.refuse_too_many_tries(email)
    account = await accounts.by_email(email)
    password_hash = account.password_hash if account else None
    fits = await matches(password.get_secret_value(), password_hash)
    if account is None or not fits:
        await accounts.count_failure(email)
        return None
    # Asked again, lest a guess that ran beside the last allowed failures learn that it was right.
    await accounts.refuse_too_many_tries(email)
    await accounts.forget_failures(email)
    return account


def _user(account: Account) -> UserOut:
    return UserOut(id=account.id, email=account.email)
