-- name: entries
SELECT id, parent, position, duration, kind FROM playlist_items WHERE room = $1;

-- name: entry
SELECT id, parent, position, duration, kind FROM playlist_items WHERE room = $1 AND id = $2;

-- name: live_delay
SELECT (settings ->> 'live_delay_ms')::integer FROM rooms WHERE id = $1;

-- name: waits
SELECT settings ->> 'wait' = 'wait' FROM rooms WHERE id = $1;

-- name: has_room
SELECT EXISTS (SELECT FROM rooms WHERE id = $1);

-- name: note_play
INSERT INTO plays (room, at, revision, item, title, kind, by_id, by_username)
SELECT room, $3, $4, id, title, kind, $5, $6 FROM playlist_items WHERE room = $1 AND id = $2
ON CONFLICT DO NOTHING;

-- name: forget_plays
DELETE FROM plays WHERE room = $1 AND (at, revision) < (
    SELECT at, revision FROM plays WHERE room = $1 ORDER BY at DESC, revision DESC OFFSET $2 - 1 LIMIT 1
);

-- name: last_play
SELECT item, revision, (SELECT settings ->> 'mode' FROM rooms WHERE id = $1) AS mode
FROM plays WHERE room = $1 ORDER BY at DESC, revision DESC LIMIT 1;
