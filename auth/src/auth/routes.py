"""The HTTP routes of the auth service."""

from functools import partial
from typing import Annotated

from fastapi import Depends, Request, Response

from auth import use_cases
from auth.config import Settings
from auth.repository import Accounts
from auth.schemas import CurrentUserOut, SignedOut, SignIn, SignUp, UserOut
from ticketing_common.http.app import api_router, app_state
from ticketing_common.http.idempotency import (
    IDEMPOTENT_RESPONSES,
    IdempotencyKey,
    created_response,
    read_keyed_request,
    respond_once,
)
from ticketing_common.http.sessions import OptionalUser, User, end_session, start_session

router = api_router("/api/users", "users")


AccountsDep = Annotated[Accounts, Depends(app_state("accounts"))]
SettingsDep = Annotated[Settings, Depends(app_state("settings"))]


@router.post("/signup", status_code=201, response_model=UserOut, responses=IDEMPOTENT_RESPONSES)
async def sign_up(
    body: SignUp,
    accounts: AccountsDep,
    settings: SettingsDep,
    request: Request,
    key: IdempotencyKey = None,
) -> Response:
    """Create an account and sign in."""
    keyed = await read_keyed_request(request, key, owner=body.email, secret="password")
    response_body = await respond_once(
        keyed,
        partial(use_cases.sign_up, accounts, body.email, body.password, keyed),
        partial(use_cases.find_sign_up, accounts, body.email, body.password),
    )
    response = created_response(response_body)
    user = UserOut.model_validate_json(response_body)
    start_session(response, User(user.id, user.email), settings)
    return response


@router.post("/signin", status_code=201)
async def sign_in(body: SignIn, response: Response, accounts: AccountsDep, settings: SettingsDep) -> UserOut:
    """Sign in. Too many failures for one email also refuse the right password."""
    account = await use_cases.sign_in(accounts, body.email, body.password)
    start_session(response, User(account.id, account.email), settings)
    return UserOut.of(account)


@router.post("/signout")
async def sign_out(response: Response, settings: SettingsDep) -> SignedOut:
    """Delete the session cookie, if there is one."""
    end_session(response, settings)
    return SignedOut()


@router.get("/currentuser")
async def who_am_i(user: OptionalUser) -> CurrentUserOut:
    """The signed-in user, or null."""
    return CurrentUserOut(current_user=user and UserOut(id=user.id, email=user.email))
