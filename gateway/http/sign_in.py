"""`auth/*`: register, sign in, refresh, sign out, guests, and the public keys."""

from __future__ import annotations

from typing import Annotated, Literal

from aiohttp import web
from pydantic import Field, StringConstraints

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.limits import PASSWORD_MAX, PASSWORD_MIN
from bus_schemas.messages.base import Shape
from bus_schemas.messages.shapes import User
from gateway.auth.principal import bearer_token
from gateway.auth.sessions import SignedIn, check_account, open_session, refresh_session
from gateway.auth.sessions import digest_of as token_digest_of
from gateway.http.endpoints import Call, Endpoint, add_endpoints
from gateway.names import Username
from gateway.services import SERVICES
from runtime.clock import now_ms
from runtime.ids import new_id
from runtime.invitation_codes import digest_of

Password = Annotated[str, StringConstraints(min_length=PASSWORD_MIN, max_length=PASSWORD_MAX, strict=True)]
Email = Annotated[str, StringConstraints(max_length=254, pattern=r"^[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+$")]


class Registration(Shape):
    """A new account."""

    username: Username
    password: Password = Field(repr=False)
    email: Email | None = None
    invitation: Annotated[str, StringConstraints(max_length=64, strict=True)] | None = None
    """The code it takes where registration is by invitation."""


class Credentials(Shape):
    """Any text is looked up: what could never be a username is a wrong one, nothing else."""

    username: Annotated[str, StringConstraints(max_length=256, strict=True)]
    password: Annotated[str, StringConstraints(max_length=1_024, strict=True)] = Field(repr=False)


class RefreshRequest(Shape):
    """The newest refresh token of a sign-in."""

    refresh_token: Annotated[str, StringConstraints(min_length=1, max_length=256, strict=True)]


class SignOut(Shape):
    """The refresh token stands in for an access token that has expired."""

    refresh_token: Annotated[str, StringConstraints(max_length=256, strict=True)] | None = None


class GuestRequest(Shape):
    """What the guest wants to be called; others may be called the same."""

    nickname: Username


class GuestSignedIn(Shape):
    """A guest's access token cannot be refreshed."""

    user: User
    access_token: str
    expires_in: int
    """Seconds."""


class Provider(Shape):
    """A foreign service one may sign in with."""

    id: str
    name: str


class Providers(Shape):
    """The ways to come by an account."""

    providers: tuple[Provider, ...] = ()
    registration: Literal["open", "invite", "closed"]
    """Who may register: everybody, whoever has an invitation, nobody."""


async def _limit_sign_ins(call: Call) -> None:
    limits = call.services.ctx.settings.limits
    await call.services.limits.take("sign-in", call.address, per_minute=limits.sign_ins_per_minute)


async def register(call: Call) -> SignedIn:
    """Make an account and sign in; raises `Refused` conflict for a name that is taken."""
    services = call.services
    registration = services.ctx.settings.auth.registration
    if registration == "closed":
        raise Refused(ErrorCode.FORBIDDEN, "Registration here is closed.")
    await _limit_sign_ins(call)
    wanted = call.body(Registration)
    digest = digest_of(wanted.invitation or "") if registration == "invite" else None
    if digest is not None and not await services.invitations.is_good_for_site(
        services.pool, digest, now_ms()
    ):
        # Before the password is hashed: a guess is to cost us nothing.
        raise _uninvited(wanted)
    password_hash = await services.passwords.hash(wanted.password)
    user = User(id=new_id(), username=wanted.username)
    async with services.pool.acquire() as connection, connection.transaction():
        if not await services.accounts.add(
            connection, user, password_hash=password_hash, email=wanted.email, now_ms=now_ms()
        ):
            raise Refused(ErrorCode.CONFLICT, "This username is taken.")
        if digest is not None and not await services.invitations.use_of_site(
            connection, digest, user=user.id, now_ms=now_ms()
        ):
            raise _uninvited(wanted)
        await services.audit.record(connection, "auth.registered", actor=user.id, address=call.address)
        answer = await open_session(services, connection, user)
    services.outbox.kick()
    return answer


def _uninvited(wanted: Registration) -> Refused:
    if wanted.invitation is None:
        return Refused(ErrorCode.FORBIDDEN, "Registration here is by invitation only.")
    return Refused(ErrorCode.FORBIDDEN, "This invitation is used, expired or mistyped: ask for another one.")


async def sign_in(call: Call) -> SignedIn:
    """Sign in; an unknown name and a wrong password take the same time and get the same answer."""
    await _limit_sign_ins(call)
    services, given = call.services, call.body(Credentials)
    found = None
    if "\0" not in given.username:
        found = await services.accounts.with_password(services.pool, given.username)
    user, encoded = found or (None, None)
    matches = await services.passwords.matches(encoded, given.password)
    if user is None or encoded is None or not matches:
        async with services.pool.acquire() as connection, connection.transaction():
            await services.audit.record(
                connection, "auth.login_failed", actor=user.id if user else "", address=call.address
            )
        services.outbox.kick()
        raise Refused(ErrorCode.UNAUTHENTICATED, "Username or password are not right.")
    check_account(user)
    if services.passwords.is_outdated(encoded):
        stronger = await services.passwords.hash(given.password)
        await services.accounts.set_password(services.pool, user.id, stronger)
    return await open_session(services, services.pool, user)


async def refresh(call: Call) -> SignedIn:
    """Trade the refresh token for new tokens."""
    return await refresh_session(call.services, call.body(RefreshRequest).refresh_token, call.address)


async def sign_out(call: Call) -> None:
    """End the sign-in: its access tokens count no more, on any gateway, within a second."""
    services, given = call.services, call.body(SignOut).refresh_token
    sessions: set[str] = set()
    fault = Refused(ErrorCode.UNAUTHENTICATED, "Send the access token, or the refresh token.")
    if token := bearer_token(call.request):
        try:
            sessions.add((await services.tokens.verify(token)).session)
        except Refused as exc:
            fault = exc
    if given:
        async with services.pool.acquire() as connection, connection.transaction():
            stored = await services.accounts.lock_refresh(connection, token_digest_of(given))
        if stored is not None:
            sessions.add(stored.family)
    if not sessions:
        raise fault
    for session in sessions:
        await services.accounts.remove_family(services.pool, session)
    await services.tokens.revocations.revoke(*sessions)


async def guest(call: Call) -> GuestSignedIn:
    """A guest: an account without a name of its own, gone when its token is."""
    services = call.services
    limits = services.ctx.settings.limits
    await services.limits.take("guest", call.address, per_minute=limits.guests_per_minute)
    user = User(id=new_id(), username=call.body(GuestRequest).nickname, guest=True)
    await services.accounts.add(services.pool, user, password_hash=None, email=None, now_ms=now_ms())
    token, life_s = services.tokens.issue_access(user, new_id())
    return GuestSignedIn(user=user, access_token=token, expires_in=life_s)


async def providers(call: Call) -> Providers:
    """Foreign services one may sign in with, and who may register."""
    return Providers(registration=call.services.ctx.settings.auth.registration)


async def jwks(request: web.Request) -> web.Response:
    """The public keys of access tokens, RFC 7517."""
    return web.json_response(
        request.app[SERVICES].tokens.keys.jwks(),
        headers={"Cache-Control": "public, max-age=60", "Access-Control-Allow-Origin": "*"},
    )


def add_routes(app: web.Application) -> None:
    """Register the resource."""
    limited, denied = ErrorCode.RATE_LIMITED, ErrorCode.UNAUTHENTICATED
    app.router.add_get("/.well-known/jwks.json", jwks)
    add_endpoints(
        app,
        [
            Endpoint(
                "POST", "auth/register", register, "Make an account", "auth", body=Registration,
                answer=SignedIn, status=201, access="anybody",
                errors=(ErrorCode.CONFLICT, ErrorCode.FORBIDDEN, limited),
            ),
            Endpoint(
                "POST", "auth/login", sign_in, "Sign in", "auth", body=Credentials, answer=SignedIn,
                access="anybody", errors=(denied, ErrorCode.FORBIDDEN, limited),
            ),
            Endpoint(
                "POST", "auth/refresh", refresh, "Trade a refresh token for new tokens", "auth",
                body=RefreshRequest, answer=SignedIn, access="anybody", errors=(denied,),
            ),
            Endpoint(
                "POST", "auth/logout", sign_out, "Sign out", "auth", body=SignOut, access="anybody",
                errors=(denied,),
            ),
            Endpoint(
                "POST", "auth/guest", guest, "Come in as a guest", "auth", body=GuestRequest,
                answer=GuestSignedIn, status=201, access="anybody", errors=(limited,),
            ),
            Endpoint(
                "GET", "auth/providers", providers, "Foreign services to sign in with", "auth",
                answer=Providers, access="anybody",
            ),
        ],
    )  # fmt: skip
