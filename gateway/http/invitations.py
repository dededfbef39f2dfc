"""`rooms/{room}/invitations`: links that let people in; `invitations`: codes for accounts on the site."""

from __future__ import annotations

from typing import Annotated, Final

from aiohttp import web
from pydantic import Field

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.limits import INVITATION_LIFE_MAX_S, INVITATION_USES_MAX, INVITATIONS_MAX
from bus_schemas.messages.base import EpochMs, Id, Shape
from bus_schemas.messages.shapes import User, UserRef
from bus_schemas.permissions import Permission, SiteRole
from gateway.auth.sessions import check_account
from gateway.db.invitations import RoomInvitation
from gateway.http.endpoints import Call, Endpoint, add_endpoints
from gateway.http.paging import Page, PageQuery, cut
from gateway.membership import require
from runtime.clock import now_ms
from runtime.invitation_codes import digest_of, new_code, room_link, site_link

INVITING: Final = Permission.APPROVE_MEMBER
"""A link decides who comes in, as an approval does."""

Lifetime = Annotated[int, Field(ge=1, le=INVITATION_LIFE_MAX_S, strict=True)]


class InvitationDraft(Shape):
    """How many may come by it, and for how long (seconds); null: any number, for ever."""

    max_uses: Annotated[int, Field(ge=1, le=INVITATION_USES_MAX, strict=True)] | None = None
    expires_in: Lifetime | None = None


class InvitationShown(Shape):
    """A link into a room, for those who may invite."""

    code: str
    url: str
    max_uses: int | None
    uses: int
    """People who came by it; one who comes back counts once."""
    expires_at: EpochMs | None
    created_at: EpochMs
    created_by: UserRef


class SiteInvitationDraft(Shape):
    """For how long an account may be made with it, in seconds; null: for ever."""

    expires_in: Lifetime | None = None


class SiteInvitationListed(Shape):
    """A code for one account, without the code."""

    id: Id
    """Names it, and opens nothing."""
    expires_at: EpochMs | None
    created_at: EpochMs
    created_by: UserRef
    """Codes made on the command line are by `operator`."""
    used_by: UserRef | None = None
    used_at: EpochMs | None = None
    """null: nobody came by it yet."""


class SiteInvitationShown(SiteInvitationListed):
    """The same with the code, which is shown this once."""

    code: str
    url: str


def _origin(call: Call) -> str:
    return call.services.addresses.origin(call.request, call.services.ctx.settings.gateway.public_url)


def _expiry(now: int, expires_in: int | None) -> int | None:
    return None if expires_in is None else now + expires_in * 1000


def _shown(call: Call, room: str, invitation: RoomInvitation) -> InvitationShown:
    return InvitationShown(
        code=invitation.code,
        url=room_link(_origin(call), room, invitation.code),
        max_uses=invitation.max_uses,
        uses=invitation.uses,
        expires_at=invitation.expires_at,
        created_at=invitation.created_at,
        created_by=invitation.created_by,
    )


async def create(call: Call) -> InvitationShown:
    """Make a link into the room."""
    services, wanted, member = call.services, call.body(InvitationDraft), await call.membership()
    require(member, INVITING)
    room, now = member.room.id, now_ms()
    expires_at = _expiry(now, wanted.expires_in)
    invitation = RoomInvitation(new_code(), member.ref, now, expires_at, wanted.max_uses)
    async with services.pool.acquire() as connection, connection.transaction():
        await services.rooms.lock(connection, room)
        await services.invitations.remove_expired(connection, now, room)
        if await services.invitations.count(connection, room) >= INVITATIONS_MAX:
            raise Refused(
                ErrorCode.CONFLICT, f"A room has at most {INVITATIONS_MAX} invitations: take one back first."
            )
        await services.invitations.add(connection, room, invitation)
        await services.audit.record(
            connection, "room.invitation_made", actor=member.user.id, target=room, address=call.address,
            detail={"max_uses": str(wanted.max_uses or ""), "expires_at": str(expires_at or "")},
        )  # fmt: skip
    services.outbox.kick()
    return _shown(call, room, invitation)


async def listing(call: Call) -> Page[InvitationShown]:
    """The room's links, newest first, those that are used up or over included."""
    services, query, member = call.services, call.query(PageQuery), await call.membership()
    require(member, INVITING)
    room = member.room.id
    found = await services.invitations.page(
        services.pool, room, after=query.position(), limit=query.limit + 1
    )
    page, following = cut(found, query.limit, lambda one: (one.created_at, one.code))
    return Page[InvitationShown](items=tuple(_shown(call, room, one) for one in page), next=following)


async def remove(call: Call) -> None:
    """Take a link back; who came by it stays."""
    services, member = call.services, await call.membership()
    require(member, INVITING)
    async with services.pool.acquire() as connection, connection.transaction():
        if not await services.invitations.remove(connection, member.room.id, call.id("code")):
            raise Refused(ErrorCode.NOT_FOUND, "There is no such invitation.")
        await services.audit.record(
            connection, "room.invitation_taken_back", actor=member.user.id, target=member.room.id,
            address=call.address,
        )  # fmt: skip
    services.outbox.kick()


async def _inviter(call: Call) -> User:
    """The account that asks, as it stands now; raises `Refused` for one that may not invite to the site."""
    services = call.services
    account = await services.accounts.by_id(services.pool, call.principal.user.id)
    if account is None:
        raise Refused(ErrorCode.UNAUTHENTICATED, "The account is gone.")
    check_account(account)
    if account.role is SiteRole.USER:
        raise Refused(ErrorCode.FORBIDDEN, "Only the site's admins invite to it.")
    return account


async def create_for_site(call: Call) -> SiteInvitationShown:
    """Make a code with which one account can be registered where registration is by invitation."""
    services, wanted, now = call.services, call.body(SiteInvitationDraft), now_ms()
    account = await _inviter(call)
    code, expires_at = new_code(), _expiry(now, wanted.expires_in)
    async with services.pool.acquire() as connection, connection.transaction():
        await services.invitations.add_to_site(
            connection, digest_of(code), created_by=account.id, now_ms=now, expires_at=expires_at
        )
        await services.audit.record(
            connection, "user.invitation_made", actor=account.id, address=call.address,
            detail={"expires_at": str(expires_at or "")},
        )  # fmt: skip
    services.outbox.kick()
    return SiteInvitationShown(
        id=digest_of(code).hex(),
        code=code,
        url=site_link(_origin(call), code),
        expires_at=expires_at,
        created_at=now,
        created_by=UserRef(id=account.id, username=account.username),
    )


async def list_for_site(call: Call) -> Page[SiteInvitationListed]:
    """The codes for accounts, whoever made them, newest first, those that were used or are over included."""
    services, query = call.services, call.query(PageQuery)
    await _inviter(call)
    found = await services.invitations.page_of_site(
        services.pool, after=query.position(), limit=query.limit + 1
    )
    page, following = cut(found, query.limit, lambda one: (one.created_at, one.id))
    items = tuple(
        SiteInvitationListed(
            id=one.id,
            expires_at=one.expires_at,
            created_at=one.created_at,
            created_by=one.created_by,
            used_by=one.used_by,
            used_at=one.used_at,
        )
        for one in page
    )
    return Page[SiteInvitationListed](items=items, next=following)


async def remove_for_site(call: Call) -> None:
    """Take a code back that nobody used; an account that was made with one stays, and so does its row."""
    services, account = call.services, await _inviter(call)
    wanted = call.id("invitation")
    async with services.pool.acquire() as connection, connection.transaction():
        if not await services.invitations.remove_of_site(connection, wanted):
            if await services.invitations.is_of_site(connection, wanted):
                raise Refused(ErrorCode.CONFLICT, "An account was made with this invitation already.")
            raise Refused(ErrorCode.NOT_FOUND, "There is no such invitation.")
        await services.audit.record(
            connection, "user.invitation_taken_back", actor=account.id, target=wanted, address=call.address
        )
    services.outbox.kick()


def add_routes(app: web.Application) -> None:
    """Register the resource."""
    unknown, denied = ErrorCode.NOT_FOUND, ErrorCode.FORBIDDEN
    add_endpoints(
        app,
        [
            Endpoint(
                "POST", "rooms/{room}/invitations", create, "Make a link into a room", "invitations",
                body=InvitationDraft, answer=InvitationShown, status=201,
                errors=(unknown, denied, ErrorCode.CONFLICT),
            ),
            Endpoint(
                "GET", "rooms/{room}/invitations", listing, "Links into a room", "invitations", query=PageQuery,
                answer=Page[InvitationShown], errors=(unknown, denied),
            ),
            Endpoint(
                "DELETE", "rooms/{room}/invitations/{code}", remove, "Take a link back", "invitations",
                errors=(unknown, denied),
            ),
            Endpoint(
                "POST", "invitations", create_for_site, "Make a code for an account", "invitations",
                body=SiteInvitationDraft, answer=SiteInvitationShown, status=201, errors=(denied,),
            ),
            Endpoint(
                "GET", "invitations", list_for_site, "Codes for accounts", "invitations", query=PageQuery,
                answer=Page[SiteInvitationListed], errors=(denied,),
            ),
            Endpoint(
                "DELETE", "invitations/{invitation}", remove_for_site, "Take a code back", "invitations",
                errors=(unknown, denied, ErrorCode.CONFLICT),
            ),
        ],
    )  # fmt: skip
