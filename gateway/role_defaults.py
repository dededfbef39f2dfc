"""A room's role defaults: nobody grants by them what he may not do himself. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.permissions import EVERYTHING, SITE_DEFAULTS, Permission, RoomRole


def changed_role_defaults(
    current: Mapping[RoomRole, int], wanted: Mapping[RoomRole, int], own: Permission
) -> dict[RoomRole, int]:
    """`current` with `wanted` over it; bits nobody knows are dropped.

    Raises `Refused`: invalid for the creator's role, forbidden where a bit changes that is not in `own`,
    or where admins change what admins may do without MANAGE_ADMIN.
    """
    result = dict(current)
    for role, mask in wanted.items():
        if role is RoomRole.CREATOR:
            raise Refused(
                ErrorCode.INVALID, "Some values are not right.",
                errors=[{"path": "settings.role_defaults", "detail": "the creator may do everything"}],
            )  # fmt: skip
        known = mask & int(EVERYTHING)
        before = int(current.get(role, SITE_DEFAULTS[role]))
        changed = Permission(known ^ before)
        if changed & ~own or (changed and role is RoomRole.ADMIN and not own & Permission.MANAGE_ADMIN):
            raise Refused(ErrorCode.FORBIDDEN, "You may not grant or take away what you may not do yourself.")
        result[role] = known
    return result
