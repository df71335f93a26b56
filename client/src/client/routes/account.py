"""Sign-up, sign-in and sign-out."""

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request, Response
from pydantic import SecretStr

from client.gateway import RequestRejected
from client.messages import (
    ACCOUNT_EXISTS_WITH_OTHER_PASSWORD,
    NOT_SIGNED_IN_YET,
    OUTCOME_UNKNOWN,
    messages_by_field,
    too_many_tries,
)
from client.models import safe_redirect_path
from client.routes.dependencies import GatewayDep
from client.views import form_key_or_new, render_page, see_other
from ticketing_common.http.idempotency import KEY_REUSED
from ticketing_common.http.sessions import OptionalUser, end_session
from ticketing_common.values.errors import Unavailable

router = APIRouter(prefix="/auth")

FormText = Annotated[str, Form()]
Password = Annotated[SecretStr, Form()]
_NO_PASSWORD = SecretStr("")
FormName = Literal["signup", "signin"]


@router.get("/signout")
async def show_sign_out_form(request: Request, user: OptionalUser) -> Response:
    return render_page(request, "signout.html", user) if user else see_other("/")


@router.post("/signout")
async def sign_out(request: Request) -> Response:
    """Deletes the cookie. Calls no service: the session exists only in the cookie."""
    response = see_other("/?said=signed-out")
    end_session(response, request.app.state.settings)
    return response


@router.get("/{form_name}")
async def show_form(form_name: FormName, request: Request, user: OptionalUser, next: str = "") -> Response:
    if user:
        return see_other(safe_redirect_path(next))
    return _render_form(request, form_name, next)


@router.post("/{form_name}")
async def sign_up_or_in(
    form_name: FormName,
    request: Request,
    gateway: GatewayDep,
    email: FormText = "",
    password: Password = _NO_PASSWORD,
    next: FormText = "",
    form_key: FormText = "",
) -> Response:
    key = form_key_or_new(form_key)
    try:
        if form_name == "signup":
            cookie = await gateway.sign_up(email, password, key)
        else:
            cookie = await gateway.sign_in(email, password)
    except RequestRejected as rejected:
        errors = _error_messages(rejected)
        return _render_form(request, form_name, next, email=email, errors=errors, status=rejected.status)
    except Unavailable:
        errors = {"": OUTCOME_UNKNOWN if form_name == "signup" else NOT_SIGNED_IN_YET}
        return _render_form(request, form_name, next, email=email, errors=errors, status=503, form_key=key)
    response = see_other(safe_redirect_path(next))
    response.headers["Set-Cookie"] = cookie
    return response


def _error_messages(rejected: RequestRejected) -> dict[str, str]:
    if rejected.retry_after:
        return {"": too_many_tries(rejected.retry_after)}
    if rejected.details[0].code == KEY_REUSED:
        return {"": ACCOUNT_EXISTS_WITH_OTHER_PASSWORD}
    return messages_by_field(rejected.details)


def _render_form(
    request: Request,
    form_name: FormName,
    next: str,
    *,
    email: str = "",
    errors: dict[str, str] | None = None,
    status: int = 200,
    form_key: str | None = None,
) -> Response:
    return render_page(
        request,
        f"{form_name}.html",
        None,
        status=status,
        form_key=form_key,
        next=safe_redirect_path(next),
        email=email,
        errors=errors or {},
    )
