"""The HTTP routes of the auth service."""

from typing import Annotated

from fastapi import Depends, Response

from auth.config import Settings
from auth.models import Account, InvalidCredentials
from auth.passwords import hash_password, matches
from auth.repository import Accounts
from auth.schemas import CurrentUserOut, SignedOut, SignIn, SignUp, UserOut
from ticketing_common.app import api_router, part
from ticketing_common.auth import OptionalUser, User, end_session, start_session
from ticketing_common.mongo import new_id

PREFIX = "/api/users"
router = api_router(PREFIX, "users")


AccountsDep = Annotated[Accounts, Depends(part("accounts"))]
SettingsDep = Annotated[Settings, Depends(part("settings"))]


@router.post("/signup", status_code=201)
async def sign_up(body: SignUp, response: Response, accounts: AccountsDep, settings: SettingsDep) -> UserOut:
    """Make an account and sign in."""
    password_hash = await hash_password(body.password.get_secret_value())
    account = Account(id=new_id(), email=body.email, password_hash=password_hash)
    await accounts.add(account)
    return _signed_in(account, response, settings)


@router.post("/signin")
async def sign_in(body: SignIn, response: Response, accounts: AccountsDep, settings: SettingsDep) -> UserOut:
    """Sign in; refused after too many failures for one address, with the right password too."""
    await accounts.refuse_too_many_tries(body.email)
    account = await accounts.by_email(body.email)
    password_hash = account.password_hash if account else None
    fits = await matches(body.password.get_secret_value(), password_hash)
    if account is None or not fits:
        await accounts.count_failure(body.email)
        raise InvalidCredentials
    # Asked again, lest a guess that ran beside the last allowed failures learn that it was right.
    await accounts.refuse_too_many_tries(body.email)
    await accounts.forget_failures(body.email)
    return _signed_in(account, response, settings)


@router.post("/signout")
async def sign_out(response: Response, settings: SettingsDep) -> SignedOut:
    """Forget the session, whether there is one or not."""
    end_session(response, settings)
    return SignedOut()


@router.get("/currentuser")
async def who_am_i(user: OptionalUser) -> CurrentUserOut:
    """Who is signed in; null for nobody."""
    return CurrentUserOut(current_user=user and UserOut(id=user.id, email=user.email))


def _signed_in(account: Account, response: Response, settings: Settings) -> UserOut:
    start_session(response, User(account.id, account.email), settings)
    return UserOut(id=account.id, email=account.email)
