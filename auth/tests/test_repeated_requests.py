"""Sign-up with an Idempotency-Key: repeated, it creates one account and signs in each time."""

import asyncio
import signal

import pytest

from auth.main import create
from ticketing_common.testing import serve_app, wait_until
from ticketing_common.testing.servers import free_port, freeze, mongod, running

ANN = {"email": "ann@example.com", "password": "correct horse"}
WRONG = ANN | {"password": "wrong horse"}


async def sign_up(client, key, body=ANN, **options):
    return await client.post("/api/users/signup", json=body, headers={"idempotency-key": key}, **options)


async def session_user(client, answer):
    """The user whose session the response started."""
    cookie = {"cookie": f"session={answer.cookies['session']}"}
    return (await client.get("/api/users/currentuser", headers=cookie)).json()["currentUser"]


async def test_repeated_sign_up_returns_the_first_answer_and_a_fresh_session(client, database):
    first = await sign_up(client, "one")
    again = await sign_up(client, "one")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert await database["accounts"].count_documents({}) == 1
    for answer in (first, again):
        assert await session_user(client, answer) == first.json()


async def test_concurrent_sign_ups_with_one_key_create_one_account(client, database):
    for number in range(20):
        body = ANN | {"email": f"{number}@example.com"}
        answers = await asyncio.gather(sign_up(client, "one", body), sign_up(client, "one", body))
        assert [answer.status_code for answer in answers] == [201, 201]
        assert answers[0].content == answers[1].content
    assert await database["accounts"].count_documents({}) == 20


async def test_sign_up_repeated_at_another_replica_after_a_mongodb_outage_signs_in(settings, tmp_path):
    server = mongod(free_port(), tmp_path)
    settings = settings.model_copy(update={"mongo_uri": f"{server.url}/auth"})
    with running(server) as process:
        async with serve_app(create(settings)) as first, serve_app(create(settings)) as second:
            assert (await sign_up(first, "one", ANN | {"email": "warm@example.com"})).status_code == 201
            freeze(process)
            failed = await sign_up(first, "one", timeout=20)
            assert failed.status_code == 503
            process.send_signal(signal.SIGCONT)

            async def repeated():
                answer = await sign_up(second, "one", timeout=20)
                return answer.status_code != 503 and answer

            answer = await wait_until(repeated, 20)
            assert answer.status_code == 201, answer.text
            assert await session_user(first, answer) == answer.json()


async def test_repetition_with_a_wrong_password_is_rejected_and_starts_no_session(client):
    await sign_up(client, "one")
    answer = await sign_up(client, "one", WRONG)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == "idempotency_key_reused"
    assert "set-cookie" not in answer.headers


async def test_repetitions_with_wrong_passwords_count_as_failed_sign_ins(client):
    await sign_up(client, "one")
    answers = [await sign_up(client, "one", WRONG) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [400] * 10 + [429]
    assert (await client.post("/api/users/signin", json=ANN)).status_code == 429


async def test_email_in_use_is_rejected_with_another_key(client):
    await sign_up(client, "one")
    for body in (ANN, WRONG):
        answer = await sign_up(client, "two", body)
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["message"] == "Email in use"
        assert "set-cookie" not in answer.headers


async def test_key_with_another_body_is_rejected(client):
    await sign_up(client, "one")
    for body in (ANN | {"email": " Ann@Example.com"}, ANN | {"note": 1}):
        answer = await sign_up(client, "one", body)
        assert answer.json()["errors"][0]["code"] == "idempotency_key_reused"


async def test_key_belongs_to_its_email(client):
    answers = [await sign_up(client, "one", ANN | {"email": f"{name}@example.com"}) for name in ("a", "b")]
    assert [answer.status_code for answer in answers] == [201, 201]


async def test_rejected_sign_up_does_not_use_up_its_key(client):
    assert (await sign_up(client, "one", ANN | {"password": "short"})).status_code == 400
    assert (await sign_up(client, "one")).status_code == 201


@pytest.mark.parametrize("key", ["", "a" * 65, "two words"])
async def test_malformed_key_is_rejected_and_creates_no_account(client, database, key):
    assert (await sign_up(client, key)).status_code == 400
    assert await database["accounts"].count_documents({}) == 0


async def test_stored_request_contains_neither_the_password_nor_its_hash(client, database):
    """The password is removed from the body before the body is hashed."""
    await sign_up(client, "one")
    (first,) = await database["accounts"].find({}).to_list(9)
    await database["accounts"].delete_many({})
    await sign_up(client, "one", ANN | {"password": "another horse"})
    (second,) = await database["accounts"].find({}).to_list(9)
    assert first["request"]["body"] == second["request"]["body"]
    assert first["request"]["key"] == second["request"]["key"]
    assert "horse" not in str(first | second)
