"""Signing up, in and out."""

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request, Response
from pydantic import SecretStr

from client.market import Refused
from client.models import safe_next
from client.sentences import NOT_SIGNED_IN, SIGNED_UP_BEFORE, TRY_AGAIN, sentence, wait
from client.views import form_key_of, page
from client.visitor import MarketDep, see_other
from ticketing_common.auth import OptionalUser, end_session
from ticketing_common.errors import ErrorDetail, Unavailable
from ticketing_common.idempotency import KEY_REUSED

router = APIRouter(prefix="/auth")

Field = Annotated[str, Form()]
Password = Annotated[SecretStr, Form()]
_NO_PASSWORD = SecretStr("")
How = Literal["signup", "signin"]


@router.get("/signout")
async def ask_to_sign_out(request: Request, user: OptionalUser) -> Response:
    return page(request, "signout.html", user) if user else see_other("/")


@router.post("/signout")
async def sign_out(request: Request) -> Response:
    """Needs no service: the session is all in the cookie."""
    answer = see_other("/?said=signed-out")
    end_session(answer, request.app.state.settings)
    return answer


@router.get("/{how}")
async def show_form(how: How, request: Request, user: OptionalUser, next: str = "") -> Response:
    if user:
        return see_other(safe_next(next))
    return _form(request, how, next)


@router.post("/{how}")
async def enter(
    how: How,
    request: Request,
    market: MarketDep,
    email: Field = "",
    password: Password = _NO_PASSWORD,
    next: Field = "",
    form_key: Field = "",
) -> Response:
    key = form_key_of(form_key)
    try:
        if how == "signup":
            cookie = await market.sign_up(email, password, key)
        else:
            cookie = await market.sign_in(email, password)
    except Refused as refused:
        errors = {detail.field or "": _sentence(detail) for detail in refused.details}
        if refused.retry_after:
            errors = {"": wait(refused.retry_after)}
        return _form(request, how, next, email=email, errors=errors, status=refused.status)
    except Unavailable:
        error = TRY_AGAIN if how == "signup" else NOT_SIGNED_IN
        return _form(request, how, next, email=email, errors={"": error}, status=503, form_key=key)
    answer = see_other(safe_next(next))
    answer.headers["Set-Cookie"] = cookie
    return answer


def _form(
    request: Request,
    how: How,
    next: str,
    *,
    email: str = "",
    errors: dict[str, str] | None = None,
    status: int = 200,
    form_key: str | None = None,
) -> Response:
    return page(
        request,
        f"{how}.html",
        None,
        status=status,
        form_key=form_key,
        next=safe_next(next),
        email=email,
        errors=errors or {},
    )


def _sentence(detail: ErrorDetail) -> str:
    return SIGNED_UP_BEFORE if detail.code == KEY_REUSED else sentence(detail)
