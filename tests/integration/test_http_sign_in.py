"""Accounts over HTTP: two real gateways on one database, one Redis, one bus."""

import asyncio
import base64
import itertools
import json
import time
from collections.abc import AsyncIterator

import asyncpg
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.integration.gateway_process import GatewayProcess, Person, StartGateways, visiting

pytestmark = pytest.mark.connected

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def gateways(start_gateways: StartGateways) -> list[GatewayProcess]:
    """Two gateways, limits off, shared by the tests of this module."""
    return start_gateways(2, LIMITS__ENABLED="false", AUTH__ACCESS_TOKEN_S="40")


@pytest.fixture
async def visitor(gateways: list[GatewayProcess]) -> AsyncIterator[Person]:
    """Somebody at the first gateway."""
    async with visiting(gateways[0].http) as person:
        yield person


def fresh(name: str = "ada") -> str:
    return f"{name}-{next(_numbers)}"


async def test_one_registers_signs_in_and_is_known(visitor: Person) -> None:
    """Registration and sign-in both give tokens, and the account answers to them."""
    name = fresh("Ada")
    await visitor.register(name)

    answer = await visitor.post("auth/login", {"username": name.upper(), "password": "correct horse"})
    me = await visitor.get("users/me")

    assert answer.status == 200
    assert answer.json["user"] == me.json
    assert me.json == {
        "id": visitor.user,
        "username": name,
        "role": "user",
        "state": "active",
        "guest": False,
    }


async def test_a_name_is_taken_once_whatever_its_case_and_width(visitor: Person) -> None:
    """Names that look alike are one name."""
    await visitor.register("Straße-Ａ")

    answer = await visitor.somebody_else().post(
        "auth/register", {"username": "STRASSE-a", "password": "x" * 8}
    )

    assert (answer.status, answer.code) == (409, "conflict")


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"username": "x", "password": "long enough"}, "username"),
        ({"username": " y ", "password": "long enough"}, "username"),
        ({"username": "a\u0000b", "password": "long enough"}, "username"),
        ({"username": "a\u202eb", "password": "long enough"}, "username"),
        ({"username": "\u200b\u200b\u200b", "password": "long enough"}, "username"),
        ({"username": "n" * 33, "password": "long enough"}, "username"),
        ({"username": 12, "password": "long enough"}, "username"),
        ({"username": "fine", "password": "short"}, "password"),
        ({"username": "fine", "password": "p" * 257}, "password"),
        ({"username": "fine"}, "password"),
        ({"username": "fine", "password": "long enough", "email": "nobody"}, "email"),
    ],
)
async def test_what_is_wrong_with_a_registration_is_named(
    visitor: Person, body: dict[str, object], path: str
) -> None:
    """422 with the path of each fault."""
    answer = await visitor.post("auth/register", body)

    assert (answer.status, answer.code) == (422, "invalid")
    assert [fault["path"] for fault in answer.json["errors"]] == [path]


@pytest.mark.parametrize("name", ["Robert'); DROP TABLE users;--", "<b onload=x>", "$1 %s {0}", "Пётр 🎬"])
async def test_names_are_kept_as_they_were_typed(visitor: Person, name: str) -> None:
    """SQL and HTML in a name are just a name."""
    await visitor.register(name)

    assert (await visitor.get("users/me")).json["username"] == name


async def test_unknown_name_and_wrong_password_get_the_same_answer(visitor: Person) -> None:
    """Nobody learns which names exist."""
    name = fresh()
    await visitor.register(name)
    other = visitor.somebody_else()

    wrong = await other.post("auth/login", {"username": name, "password": "wrong horse"})
    unknown = await other.post("auth/login", {"username": fresh("nobody"), "password": "wrong horse"})
    empty = await other.post("auth/login", {"username": "", "password": ""})

    assert {(answer.status, answer.json["detail"]) for answer in (wrong, unknown, empty)} == {
        (401, "Username or password are not right.")
    }


async def test_a_guest_comes_in_by_a_nickname_and_cannot_refresh(visitor: Person) -> None:
    """Guests share nicknames, have no refresh token and make no rooms."""
    answer = await visitor.post("auth/guest", {"nickname": "Visitor"})
    again = await visitor.post("auth/guest", {"nickname": "Visitor"})
    guest = await visitor.come_as_guest()

    assert "refresh_token" not in answer.json
    assert answer.json["user"]["guest"] is True
    assert answer.json["user"]["id"] != again.json["user"]["id"]
    assert (await guest.post("rooms", {"name": "x"})).code == "forbidden"


async def test_a_refresh_token_works_once_and_its_reuse_ends_the_sign_in(
    visitor: Person, gateways: list[GatewayProcess]
) -> None:
    """The stolen copy and the rightful one both stop working, access tokens included."""
    await visitor.register(fresh())
    first = visitor.refresh_token

    renewed = await visitor.post("auth/refresh", {"refresh_token": first})
    visitor.token = renewed.json["access_token"]
    assert (await visitor.get("users/me")).status == 200
    reused = await visitor.somebody_else(gateways[1].http).post("auth/refresh", {"refresh_token": first})
    last = await visitor.post("auth/refresh", {"refresh_token": renewed.json["refresh_token"]})

    assert renewed.status == 200
    assert renewed.json["refresh_token"] != first
    assert (reused.status, reused.code) == (401, "unauthenticated")
    assert last.status == 401
    await refused_within_a_second(visitor)


async def test_of_many_who_refresh_at_once_one_gets_tokens(visitor: Person) -> None:
    """A refresh token is spent exactly once, however close together it is used."""
    await visitor.register(fresh())

    answers = await asyncio.gather(
        *(visitor.post("auth/refresh", {"refresh_token": visitor.refresh_token}) for _ in range(6))
    )

    assert sorted(answer.status for answer in answers) == [200, 401, 401, 401, 401, 401]


async def test_signing_out_holds_on_every_gateway_within_a_second(
    visitor: Person, gateways: list[GatewayProcess]
) -> None:
    """The token counts no more here at once, elsewhere within a second; nor does the refresh token."""
    await visitor.register(fresh())
    elsewhere = visitor.somebody_else(gateways[1].http)
    elsewhere.token = visitor.token
    assert (await elsewhere.get("users/me")).status == 200

    assert (await visitor.post("auth/logout")).status == 204

    assert (await visitor.get("users/me")).code == "unauthenticated"
    await refused_within_a_second(elsewhere)
    assert (await visitor.post("auth/refresh", {"refresh_token": visitor.refresh_token})).status == 401


async def test_one_signs_out_by_the_refresh_token_alone(visitor: Person) -> None:
    """With an expired access token the refresh token will do; with neither it is 401."""
    await visitor.register(fresh())
    nobody = visitor.somebody_else()

    assert (await nobody.post("auth/logout", {"refresh_token": visitor.refresh_token})).status == 204
    assert (await visitor.get("users/me")).status == 401
    assert (await nobody.post("auth/logout")).status == 401
    assert (await nobody.post("auth/logout", {"refresh_token": "unknown"})).status == 401


async def test_another_password_ends_the_other_sign_ins(visitor: Person) -> None:
    """This session goes on, the others end, and only the new password opens the account."""
    name = fresh()
    await visitor.register(name)
    second = visitor.somebody_else()
    login = await second.post("auth/login", {"username": name, "password": "correct horse"})
    second.token = login.json["access_token"]

    wrong = await visitor.post(
        "users/me/password", {"old_password": "nope nope", "new_password": "battery staple"}
    )
    right = await visitor.post(
        "users/me/password", {"old_password": "correct horse", "new_password": "battery staple"}
    )

    assert (wrong.status, right.status) == (403, 204)
    assert (await visitor.get("users/me")).status == 200
    assert (await second.get("users/me")).status == 401
    nobody = visitor.somebody_else()
    assert (await nobody.post("auth/login", {"username": name, "password": "correct horse"})).status == 401
    assert (await nobody.post("auth/login", {"username": name, "password": "battery staple"})).status == 200


async def test_one_renames_oneself_but_not_to_somebody_else(visitor: Person) -> None:
    """PATCH users/me changes the name where it is free."""
    taken, mine, wanted = fresh(), fresh(), fresh("Grace")
    await visitor.somebody_else().register(taken)
    await visitor.register(mine)

    assert (await visitor.send("PATCH", "users/me", {"username": taken.upper()})).code == "conflict"
    changed = await visitor.send("PATCH", "users/me", {"username": wanted, "email": "grace@example.org"})

    assert changed.json["username"] == wanted
    assert (await visitor.get("users/me")).json["username"] == wanted


async def test_a_deleted_account_is_gone_with_its_rooms(
    visitor: Person, gateways: list[GatewayProcess]
) -> None:
    """Token, rooms and name are gone; the name is free again."""
    name = fresh()
    await visitor.register(name)
    room = await visitor.make_room()
    friend = await visitor.somebody_else().register(fresh())
    assert (await friend.post(f"rooms/{room}/join")).status == 200
    elsewhere = visitor.somebody_else(gateways[1].http)
    elsewhere.token = visitor.token

    assert (await visitor.send("DELETE", "users/me")).status == 204

    assert (await visitor.get("users/me")).status == 401
    await refused_within_a_second(elsewhere)
    assert (await friend.get(f"rooms/{room}")).status == 404
    await visitor.somebody_else().register(name)


async def test_the_public_keys_verify_our_tokens(visitor: Person, gateways: list[GatewayProcess]) -> None:
    """/.well-known/jwks.json is the same at every gateway and holds the key of the token's kid."""
    await visitor.register(fresh())
    assert visitor.token is not None

    documents = [
        (await visitor.somebody_else(one.http).get("/.well-known/jwks.json")).json for one in gateways
    ]
    key = jwt.PyJWKSet.from_dict(documents[0])[jwt.get_unverified_header(visitor.token)["kid"]]
    claims = jwt.decode(visitor.token, key, algorithms=["RS256"], audience="matinee", issuer="matinee")

    assert documents[0] == documents[1]
    assert "d" not in documents[0]["keys"][0]
    assert claims["sub"] == visitor.user
    assert claims["exp"] - claims["iat"] == 40


async def test_forged_foreign_and_expired_tokens_are_refused(
    visitor: Person, module_postgres_dsn: str
) -> None:
    """Whoever signed it, however it says it was signed: 401, and nothing else."""
    await visitor.register(fresh())
    assert visitor.token is not None
    header = jwt.get_unverified_header(visitor.token)
    claims = jwt.decode(visitor.token, options={"verify_signature": False})
    connection = await asyncpg.connect(module_postgres_dsn)
    pem = await connection.fetchval("SELECT private_pem FROM signing_keys WHERE kid = $1", header["kid"])
    await connection.close()
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    head, body, signature = visitor.token.split(".")

    def encoded(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    past = int(time.time()) - 5
    forged = {
        "none": f"{encoded({'alg': 'none', 'typ': 'JWT', 'kid': header['kid']})}.{body}.",
        "other claims": f"{head}.{encoded({**claims, 'sub': 'root'})}.{signature}",
        "stranger's key": jwt.encode(claims, stranger, algorithm="RS256", headers={"kid": header["kid"]}),
        "unknown kid": jwt.encode(claims, pem, algorithm="RS256", headers={"kid": "other"}),
        "no kid": jwt.encode(claims, pem, algorithm="RS256"),
        "HS256": jwt.encode(claims, "x" * 40, algorithm="HS256", headers={"kid": header["kid"]}),
        "expired": jwt.encode(
            {**claims, "exp": past}, pem, algorithm="RS256", headers={"kid": header["kid"]}
        ),
        "play token": jwt.encode(
            {**claims, "aud": "matinee:play"}, pem, algorithm="RS256", headers={"kid": header["kid"]}
        ),
        "other issuer": jwt.encode(
            {**claims, "iss": "elsewhere"}, pem, algorithm="RS256", headers={"kid": header["kid"]}
        ),
        "garbage": "a.b.c",
        "long": "x" * 5_000,
    }

    answers = {}
    for kind, token in forged.items():
        visitor.token = token
        answer = await visitor.get("users/me")
        answers[kind] = (answer.status, answer.code, answer.headers.get("WWW-Authenticate"))

    assert answers == dict.fromkeys(forged, (401, "unauthenticated", "Bearer"))


async def test_sensitive_acts_leave_rows(visitor: Person, module_postgres_dsn: str) -> None:
    """A failed sign-in and a password change are on record, without the passwords."""
    name = fresh()
    await visitor.register(name)
    await visitor.post("auth/login", {"username": name, "password": "guess guess"})
    await visitor.post(
        "users/me/password", {"old_password": "correct horse", "new_password": "battery staple"}
    )

    connection = await asyncpg.connect(module_postgres_dsn)
    rows = await connection.fetch(
        "SELECT act, address, detail FROM audit WHERE actor = $1 ORDER BY at", visitor.user
    )
    await connection.close()

    assert [row["act"] for row in rows] == ["auth.registered", "auth.login_failed", "auth.password_changed"]
    assert {row["address"] for row in rows} == {"127.0.0.1"}
    assert "guess" not in str(rows)


async def refused_within_a_second(person: Person) -> None:
    """Their token stops working in time."""
    give_up = time.monotonic() + 1.0
    while (answer := await person.get("users/me")).status != 401:
        assert time.monotonic() < give_up, answer
        await asyncio.sleep(0.05)
