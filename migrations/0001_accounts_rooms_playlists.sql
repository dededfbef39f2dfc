-- Times are epoch milliseconds (bigint), ids are tokens of [A-Za-z0-9_-]+, masks fit 51 bits of a bigint.
-- Writers: the gateway, but for messages, which chat writes.

CREATE TABLE users (
    id text PRIMARY KEY,
    username text NOT NULL,
    -- NFKC, case folded: what must be unique. NULL for guests, whose nicknames may repeat.
    username_key text UNIQUE,
    email text,
    -- Argon2id, in its own encoded form. NULL: cannot sign in by password.
    password_hash text,
    role text NOT NULL DEFAULT 'user' CHECK (role IN ('root', 'admin', 'user')),
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'pending', 'banned')),
    guest boolean NOT NULL DEFAULT false,
    created_at bigint NOT NULL,
    CHECK (guest = (username_key IS NULL))
);

-- One row a refresh token ever handed out by a sign-in (its family); only the newest is unused.
CREATE TABLE refresh_tokens (
    -- SHA-256 of the token; the token itself is nowhere.
    hash bytea PRIMARY KEY,
    -- The session: `sid` of its access tokens.
    family text NOT NULL,
    user_id text NOT NULL REFERENCES users ON DELETE CASCADE,
    issued_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    used_at bigint
);
CREATE INDEX refresh_tokens_family ON refresh_tokens (family);
CREATE INDEX refresh_tokens_user ON refresh_tokens (user_id);
CREATE INDEX refresh_tokens_expiry ON refresh_tokens (expires_at);

-- Keys that sign access tokens, shared by all gateways: the newest signs, all of them verify.
CREATE TABLE signing_keys (
    kid text PRIMARY KEY,
    private_pem text NOT NULL,
    created_at bigint NOT NULL
);

CREATE TABLE rooms (
    id text PRIMARY KEY,
    name text NOT NULL,
    hidden boolean NOT NULL DEFAULT false,
    password_hash text,
    creator_id text NOT NULL REFERENCES users ON DELETE CASCADE,
    settings jsonb NOT NULL,
    created_at bigint NOT NULL,
    -- Grows by one with each change of the playlist; updating it is also the lock that orders them.
    playlist_version bigint NOT NULL DEFAULT 0
);
CREATE INDEX rooms_creator ON rooms (creator_id);
CREATE INDEX rooms_public ON rooms (created_at DESC, id DESC) WHERE NOT hidden;

CREATE TABLE members (
    room text NOT NULL REFERENCES rooms ON DELETE CASCADE,
    user_id text NOT NULL REFERENCES users ON DELETE CASCADE,
    role text NOT NULL CHECK (role IN ('creator', 'admin', 'member', 'guest')),
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'pending', 'banned')),
    added bigint NOT NULL DEFAULT 0,
    removed bigint NOT NULL DEFAULT 0,
    joined_at bigint NOT NULL,
    PRIMARY KEY (room, user_id)
);
CREATE INDEX members_user ON members (user_id);
CREATE INDEX members_order ON members (room, joined_at, user_id);

CREATE TABLE streams (
    id text PRIMARY KEY,
    room text REFERENCES rooms ON DELETE CASCADE,
    owner text NOT NULL REFERENCES users ON DELETE CASCADE,
    title text NOT NULL,
    -- SHA-256 (hex) of the stream key: its name in the bucket STREAM_KEYS.
    key_hash text NOT NULL UNIQUE,
    private boolean NOT NULL DEFAULT false,
    created_at bigint NOT NULL
);
CREATE INDEX streams_room ON streams (room);
CREATE INDEX streams_owner ON streams (owner);

CREATE TABLE playlist_items (
    id text PRIMARY KEY,
    room text NOT NULL REFERENCES rooms ON DELETE CASCADE,
    parent text REFERENCES playlist_items ON DELETE CASCADE,
    -- Orders the siblings of one parent, with gaps, so that a move rewrites one row.
    position integer NOT NULL,
    title text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('url', 'live')),
    url text,
    stream text REFERENCES streams ON DELETE CASCADE,
    duration double precision,
    subtitles jsonb NOT NULL DEFAULT '[]',
    added_by text NOT NULL,
    added_by_username text NOT NULL,
    added_at bigint NOT NULL,
    CHECK ((kind = 'url') = (url IS NOT NULL)),
    CHECK ((kind = 'live') = (stream IS NOT NULL))
);
CREATE INDEX playlist_items_order ON playlist_items (room, position, id);
CREATE INDEX playlist_items_stream ON playlist_items (stream);
CREATE INDEX playlist_items_parent ON playlist_items (parent);

-- Written by chat; no reference to users: what was said stays when an account goes.
CREATE TABLE messages (
    id text PRIMARY KEY,
    number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    room text NOT NULL REFERENCES rooms ON DELETE CASCADE,
    user_id text NOT NULL,
    username text NOT NULL,
    text text NOT NULL,
    client_id text NOT NULL,
    reply_to text,
    at bigint NOT NULL,
    deleted boolean NOT NULL DEFAULT false,
    UNIQUE (room, user_id, client_id)
);
CREATE INDEX messages_history ON messages (room, number DESC) WHERE NOT deleted;

-- Bus messages that follow a change, written in its transaction, gone once the bus has them.
CREATE TABLE outbox (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Nats-Msg-Id: a row relayed twice is stored once.
    id text NOT NULL,
    subject text NOT NULL,
    stream text NOT NULL,
    body text NOT NULL,
    traceparent text NOT NULL
);

CREATE TABLE audit (
    id text PRIMARY KEY,
    at bigint NOT NULL,
    actor text NOT NULL,
    act text NOT NULL,
    target text NOT NULL,
    address text NOT NULL,
    detail jsonb NOT NULL
);
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_actor ON audit (actor, at);
