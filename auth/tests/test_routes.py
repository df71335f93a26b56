"""The HTTP routes of the auth service."""

import asyncio
from statistics import median
from time import perf_counter

import jwt
import pytest

from auth.main import create
from ticketing_common.testing import JWT_KEY, new_user, serve_app, session

ANN = {"email": "ann@example.com", "password": "correct horse"}
WRONG = ANN | {"password": "wrong horse"}


async def sign_up(client, **changes):
    return await client.post("/api/users/signup", json=ANN | changes)


async def test_sign_up_creates_an_account_and_a_session(client):
    answer = await sign_up(client)
    assert answer.status_code == 201
    assert answer.json() == {"id": answer.json()["id"], "email": "ann@example.com"}
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("session=")
    for attribute in ("HttpOnly", "Max-Age=604800", "Path=/", "SameSite=lax", "Secure"):
        assert attribute in cookie
    token = cookie.partition("=")[2].partition(";")[0]
    claims = jwt.decode(token, JWT_KEY, ["HS256"])
    assert (claims["id"], claims["email"]) == (answer.json()["id"], "ann@example.com")
    assert claims["exp"] - claims["iat"] == 7 * 24 * 3600


async def test_cookie_lacks_secure_if_cookie_secure_is_false(settings, database):
    async with serve_app(create(settings.model_copy(update={"cookie_secure": False}))) as client:
        assert "Secure" not in (await sign_up(client)).headers["set-cookie"]
        assert (await client.get("/api/users/currentuser")).json()["currentUser"]["email"] == ANN["email"]


@pytest.mark.parametrize("email", ["", "ann", "ann@", "@example.com", "a b@example.com", 7, None])
async def test_invalid_email_is_rejected(client, email):
    answer = await sign_up(client, email=email)
    assert answer.status_code == 400
    assert answer.json() == {"errors": [{"message": "Email must be valid", "field": "email"}]}


@pytest.mark.parametrize("password", ["", "seven77", "x" * 129, 12345678, None])
async def test_password_of_invalid_length_or_type_is_rejected(client, password):
    answer = await sign_up(client, password=password)
    assert answer.status_code == 400
    assert answer.json() == {
        "errors": [{"message": "Password must be between 8 and 128 characters", "field": "password"}]
    }


async def test_all_invalid_fields_are_reported_together(client):
    answer = await client.post("/api/users/signup", json={})
    assert [error["field"] for error in answer.json()["errors"]] == ["email", "password"]


async def test_email_in_use_is_rejected_in_any_case_and_spacing(client):
    await sign_up(client)
    answer = await sign_up(client, email="  ANN@Example.com ")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["message"] == "Email in use"


async def test_fifty_concurrent_sign_ups_create_one_account(client, database):
    answers = await asyncio.gather(*(sign_up(client) for _ in range(50)))
    assert sorted(answer.status_code for answer in answers) == [201] + [400] * 49
    assert await database["accounts"].count_documents({}) == 1


async def test_sign_in_requires_the_right_password(client):
    signed_up = (await sign_up(client)).json()
    answer = await client.post("/api/users/signin", json=ANN | {"email": " Ann@EXAMPLE.com"})
    assert (answer.status_code, answer.json()) == (201, signed_up)
    assert "session=" in answer.headers["set-cookie"]
    for wrong in (WRONG, ANN | {"email": "nobody@example.com"}, ANN | {"password": ""}):
        answer = await client.post("/api/users/signin", json=wrong)
        assert answer.status_code == 400
        assert answer.json() == {"errors": [{"message": "Invalid credentials"}]}
        assert "set-cookie" not in answer.headers


async def test_sign_in_takes_as_long_for_an_unknown_email_as_for_a_known_one(client):
    emails = [f"known{i}@example.com" for i in range(6)]
    for email in emails:
        await sign_up(client, email=email)

    async def seconds(email):
        started = perf_counter()
        await client.post("/api/users/signin", json=WRONG | {"email": email})
        return perf_counter() - started

    known = median([await seconds(email) for email in emails])
    unknown = median([await seconds("un" + email) for email in emails])
    assert 0.5 < known / unknown < 2


@pytest.mark.parametrize("exists", [True, False])
async def test_right_password_is_rejected_after_ten_failures(client, exists):
    if exists:
        await sign_up(client)
    for _ in range(10):
        assert (await client.post("/api/users/signin", json=WRONG)).status_code == 400
    answer = await client.post("/api/users/signin", json=ANN)
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= 15 * 60 + 1
    assert answer.json()["errors"][0]["message"]


async def test_ten_of_many_concurrent_guesses_are_checked(client):
    await sign_up(client)
    answers = await asyncio.gather(*(client.post("/api/users/signin", json=WRONG) for _ in range(30)))
    assert sorted(answer.status_code for answer in answers) == [400] * 10 + [429] * 20


async def test_successful_sign_in_resets_the_failure_count(client):
    await sign_up(client)
    for _ in range(2):
        for _ in range(9):
            await client.post("/api/users/signin", json=WRONG)
        assert (await client.post("/api/users/signin", json=ANN)).status_code == 201


async def test_concurrent_sign_ins_with_the_right_password_all_succeed(client):
    await sign_up(client)
    answers = await asyncio.gather(*(client.post("/api/users/signin", json=ANN) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {201}


async def test_sign_out_clears_the_cookie(client):
    await sign_up(client)
    answer = await client.post("/api/users/signout")
    assert (answer.status_code, answer.json()) == (200, {})
    assert "Max-Age=0" in answer.headers["set-cookie"]


async def test_current_user_is_read_from_the_token(client):
    user = new_user()
    answer = await client.get("/api/users/currentuser", headers=session(user))
    assert answer.json() == {"currentUser": {"id": user.id, "email": user.email}}
    for headers in ({}, {"cookie": "session=nonsense"}):
        assert (await client.get("/api/users/currentuser", headers=headers)).json() == {"currentUser": None}


async def test_first_key_signs_and_all_keys_verify(settings, database):
    old = session(new_user())
    rotated = settings.model_copy(update={"jwt_key": ["the-new-key-that-is-quite-long-enough", JWT_KEY]})
    async with serve_app(create(rotated)) as client:
        assert (await client.get("/api/users/currentuser", headers=old)).json()["currentUser"]
        token = (await sign_up(client)).cookies["session"]
        assert jwt.decode(token, "the-new-key-that-is-quite-long-enough", ["HS256"])
