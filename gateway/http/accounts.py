"""`users/me`: one's own account."""

from __future__ import annotations

from typing import Annotated

from aiohttp import web
from pydantic import Field, StringConstraints

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.messages.base import Shape
from bus_schemas.messages.room import MemberChanged
from bus_schemas.messages.shapes import User, UserRef
from bus_schemas.permissions import RoomRole
from gateway.auth.sessions import check_account
from gateway.http.endpoints import Call, Endpoint, add_endpoints
from gateway.http.sign_in import Email, Password
from gateway.names import Username
from gateway.room_deletion import announce_deletion
from gateway.stream_keys import close_streams
from runtime.clock import now_ms


class AccountPatch(Shape):
    """What is absent stays; a null e-mail address is taken away."""

    username: Username | None = None
    email: Email | None = None


class PasswordChange(Shape):
    """The old password proves that it is not just an open browser."""

    old_password: Annotated[str, StringConstraints(max_length=1_024, strict=True)] = Field(repr=False)
    new_password: Password = Field(repr=False)


async def _account(call: Call) -> User:
    user = await call.services.accounts.by_id(call.services.pool, call.principal.user.id)
    if user is None:
        raise Refused(ErrorCode.UNAUTHENTICATED, "The account is gone.")
    check_account(user)
    return user


async def show(call: Call) -> User:
    """The account as it is now."""
    return await _account(call)


async def change(call: Call) -> User:
    """Another username or e-mail address; raises `Refused` conflict for a name that is taken."""
    services, wanted = call.services, call.body(AccountPatch)
    user = await _account(call)
    if wanted.username is not None and wanted.username != user.username:
        if not await services.accounts.rename(services.pool, user, wanted.username):
            raise Refused(ErrorCode.CONFLICT, "This username is taken.")
        user = user.model_copy(update={"username": wanted.username})
    if "email" in wanted.model_fields_set and not user.guest:
        await services.accounts.set_email(services.pool, user.id, wanted.email)
    return user


async def change_password(call: Call) -> None:
    """Another password; every other sign-in of the account ends."""
    services, wanted = call.services, call.body(PasswordChange)
    limits = services.ctx.settings.limits
    await services.limits.take("sign-in", call.address, per_minute=limits.sign_ins_per_minute)
    user = await _account(call)
    encoded = await services.accounts.password_hash(services.pool, user.id)
    if not await services.passwords.matches(encoded, wanted.old_password):
        raise Refused(ErrorCode.FORBIDDEN, "The old password is not right.")
    password_hash = await services.passwords.hash(wanted.new_password)
    async with services.pool.acquire() as connection, connection.transaction():
        await services.accounts.set_password(connection, user.id, password_hash)
        families = await services.accounts.families(connection, user.id)
        others = [family for family in families if family != call.principal.session]
        for family in others:
            await services.accounts.remove_family(connection, family)
        await services.audit.record(
            connection, "auth.password_changed", actor=user.id, target=user.id, address=call.address
        )
    services.outbox.kick()
    await services.tokens.revocations.revoke(*others)


async def remove(call: Call) -> None:
    """Delete the account with its rooms, memberships and streams; what was said in rooms of others stays."""
    services = call.services
    user = await _account(call)
    by = UserRef(id=user.id, username=user.username)
    await close_streams(
        services, await services.accounts.stream_keys(services.pool, user.id), "account deleted"
    )
    async with services.pool.acquire() as connection, connection.transaction():
        for member in await services.members.of_user(connection, user.id):
            room = member.room.id
            if member.role is RoomRole.CREATOR:
                await announce_deletion(services, connection, room, by)
            else:
                event = MemberChanged(room=room, at=now_ms(), change="left", member=member.as_member())
                await services.outbox.add(connection, room, event)
        families = await services.accounts.families(connection, user.id)
        await services.accounts.remove(connection, user.id)
        await services.audit.record(
            connection, "auth.account_deleted", actor=user.id, target=user.id, address=call.address
        )
    services.outbox.kick()
    await services.tokens.revocations.revoke(call.principal.session, *families)


def add_routes(app: web.Application) -> None:
    """Register the resource."""
    add_endpoints(
        app,
        [
            Endpoint("GET", "users/me", show, "One's own account", "users", answer=User),
            Endpoint(
                "PATCH", "users/me", change, "Change one's account", "users", body=AccountPatch, answer=User,
                errors=(ErrorCode.CONFLICT,),
            ),
            Endpoint("DELETE", "users/me", remove, "Delete one's account", "users"),
            Endpoint(
                "POST", "users/me/password", change_password, "Change one's password", "users",
                body=PasswordChange, errors=(ErrorCode.FORBIDDEN, ErrorCode.RATE_LIMITED),
            ),
        ],
    )  # fmt: skip
