"""Fixed ranges of the contract (DESIGN.md §4, §7, §8), each written once. Tunable limits are settings."""

from __future__ import annotations

from typing import Final

ROOM_NAME_MAX: Final = 64
TITLE_MAX: Final = 200
USERNAME_MIN: Final = 2
USERNAME_MAX: Final = 32
PASSWORD_MIN: Final = 8
PASSWORD_MAX: Final = 256
CHAT_MAX: Final = 2_000
DANMAKU_MAX: Final = 100
URL_MAX: Final = 4_096
RATE_MIN: Final = 0.25
RATE_MAX: Final = 4.0
CLIENT_ID_MAX: Final = 64
LIVE_POSITION_MIN_S: Final = 1_000_000_000
"""A live position below this is no date: the state names no moment yet, so the room's delay decides."""

JSON_BODY_MAX: Final = 1 << 20
"""Bytes of an HTTP JSON body."""
JSON_DEPTH_MAX: Final = 32
SOCKET_FRAME_MAX: Final = 64 << 10
"""Bytes of a frame a client may send."""

ACCESS_UNIT_MAX: Final = 8 << 20
"""Bytes of one access unit, and of one RTMP message."""
BUS_PAYLOAD_MAX: Final = ACCESS_UNIT_MAX + (64 << 10)
"""What NATS must let through: an access unit, its audio and the headers."""

JOINED_MEMBERS_MAX: Final = 200
JOINED_MESSAGES_MAX: Final = 50
JOINED_ITEMS_MAX: Final = 200
EVENT_ITEMS_MAX: Final = 200
"""Items of a playlist event, and of one addition."""
LEARNED_DURATION_MAX_S: Final = 7 * 86_400
"""A file longer than this is none."""
KICK_COOLDOWN_MAX_S: Final = 86_400
"""Who is to stay out for longer is banned."""
PENDING_MAX: Final = 1_000
"""People who wait to be let into one room."""
INVITATIONS_MAX: Final = 100
"""Invitations of one room."""
INVITATION_USES_MAX: Final = 10_000
INVITATION_LIFE_MAX_S: Final = 366 * 86_400
INVITATION_CODE_LENGTH: Final = 22
"""Characters, 126 random bits: nobody guesses one."""
RESUME_WINDOW_S: Final = 600
"""How long missed room events can be replayed: the age of `ROOM_EVENTS`."""
CLIENT_ID_WINDOW_S: Final = 86_400
"""How long a resend with the same `client_id` is recognised."""
