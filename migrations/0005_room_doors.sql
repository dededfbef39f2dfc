-- Links into a room: whoever has a valid one needs neither its password nor anybody's approval.
CREATE TABLE room_invitations (
    code text PRIMARY KEY,
    room text NOT NULL REFERENCES rooms ON DELETE CASCADE,
    -- No reference to users: a link goes on when the account that made it goes.
    created_by text NOT NULL,
    created_by_username text NOT NULL,
    created_at bigint NOT NULL,
    -- NULL: never.
    expires_at bigint,
    -- NULL: any number.
    max_uses integer CHECK (max_uses > 0),
    uses integer NOT NULL DEFAULT 0
);
CREATE INDEX room_invitations_order ON room_invitations (room, created_at, code);

-- Who came in by a link: he counts once, however often he comes back.
CREATE TABLE room_invitation_uses (
    code text NOT NULL REFERENCES room_invitations ON DELETE CASCADE,
    user_id text NOT NULL REFERENCES users ON DELETE CASCADE,
    PRIMARY KEY (code, user_id)
);
CREATE INDEX room_invitation_uses_user ON room_invitation_uses (user_id);

-- Invitations to the site, each good for one account.
CREATE TABLE site_invitations (
    -- SHA-256 of the code; the code itself is shown once and is nowhere.
    hash bytea PRIMARY KEY,
    -- Id of the account, or "operator" for the command line.
    created_by text NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint,
    -- Id of the account that was made with it.
    used_by text,
    used_at bigint
);

-- Who was put out of a room, and from when on he may come again.
CREATE TABLE room_kicks (
    room text NOT NULL REFERENCES rooms ON DELETE CASCADE,
    user_id text NOT NULL REFERENCES users ON DELETE CASCADE,
    until bigint NOT NULL,
    PRIMARY KEY (room, user_id)
);
CREATE INDEX room_kicks_user ON room_kicks (user_id);
CREATE INDEX room_kicks_until ON room_kicks (until);

-- When somebody was last in the room, to within an hour.
ALTER TABLE rooms ADD COLUMN active_at bigint;
UPDATE rooms SET active_at = (extract(epoch FROM now()) * 1000)::bigint;
ALTER TABLE rooms ALTER COLUMN active_at SET NOT NULL;
CREATE INDEX rooms_active ON rooms (active_at);

CREATE INDEX members_pending ON members (room, joined_at, user_id) WHERE state = 'pending';
