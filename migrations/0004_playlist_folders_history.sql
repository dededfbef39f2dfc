-- Folders hold items of the same room; what a folder holds goes with it.
ALTER TABLE playlist_items DROP CONSTRAINT playlist_items_kind_check;
ALTER TABLE playlist_items ADD CONSTRAINT playlist_items_kind_check CHECK (kind IN ('url', 'live', 'folder'));

-- What the last changes of a playlist are undone by: items to delete, items to put as they were. Writer: the gateway.
CREATE TABLE playlist_changes (
    room text NOT NULL REFERENCES rooms ON DELETE CASCADE,
    version bigint NOT NULL,
    change text NOT NULL,
    by_id text NOT NULL,
    at bigint NOT NULL,
    -- Ids.
    remove jsonb NOT NULL,
    -- Items in the shape of the API.
    put jsonb NOT NULL,
    PRIMARY KEY (room, version)
);

-- The items a room came to, with the title each had then. Writer: sync.
CREATE TABLE plays (
    room text NOT NULL REFERENCES rooms ON DELETE CASCADE,
    at bigint NOT NULL,
    revision bigint NOT NULL,
    item text NOT NULL,
    title text NOT NULL,
    kind text NOT NULL,
    -- NULL: the item before had ended.
    by_id text,
    by_username text,
    PRIMARY KEY (room, at, revision)
);
