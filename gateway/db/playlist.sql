-- name: page
SELECT id, title, kind, url, stream, duration, subtitles, parent, position, added_by, added_by_username
FROM playlist_items
WHERE room = $1 AND (position, id) > ($2, $3)
ORDER BY position, id
LIMIT $4

-- name: version
SELECT playlist_version FROM rooms WHERE id = $1

-- name: next_version
UPDATE rooms SET playlist_version = playlist_version + 1 WHERE id = $1 RETURNING playlist_version

-- name: by_id
SELECT id, title, kind, url, stream, duration, subtitles, parent, position, added_by, added_by_username
FROM playlist_items
WHERE room = $1 AND id = $2

-- name: add
INSERT INTO playlist_items (id, room, parent, position, title, kind, url, stream, duration, subtitles,
                            added_by, added_by_username, added_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)

-- name: edit
UPDATE playlist_items SET title = $3, url = $4, duration = $5, subtitles = $6 WHERE room = $1 AND id = $2

-- name: place
UPDATE playlist_items AS p SET position = new.position
FROM unnest($2::text[], $3::integer[]) AS new (id, position)
WHERE p.room = $1 AND p.id = new.id

-- name: remove
DELETE FROM playlist_items WHERE room = $1 AND id = $2 RETURNING true

-- name: clear
DELETE FROM playlist_items WHERE room = $1 RETURNING id

-- name: stream_is_of
SELECT EXISTS (SELECT FROM streams WHERE id = $1 AND room = $2)

-- name: siblings
SELECT id, position FROM playlist_items
WHERE room = $1 AND parent IS NOT DISTINCT FROM $2
ORDER BY position, id

-- name: tree
SELECT id, parent, kind = 'folder' AS folder, added_by FROM playlist_items WHERE room = $1

-- name: some
SELECT id, title, kind, url, stream, duration, subtitles, parent, position, added_by, added_by_username
FROM playlist_items
WHERE room = $1 AND id = ANY ($2::text[])
ORDER BY position, id

-- name: place_in
UPDATE playlist_items SET parent = $3, position = $4 WHERE room = $1 AND id = $2

-- name: put
INSERT INTO playlist_items (id, room, parent, position, title, kind, url, stream, duration, subtitles,
                            added_by, added_by_username, added_at)
SELECT id, $1, parent, position, title, kind, url, stream, duration, subtitles,
       added_by ->> 'id', added_by ->> 'username', $3
FROM jsonb_to_recordset($2::jsonb) AS item (
    id text, parent text, position integer, title text, kind text, url text, stream text,
    duration double precision, subtitles jsonb, added_by jsonb
)
WHERE stream IS NULL OR EXISTS (SELECT FROM streams WHERE streams.id = item.stream AND streams.room = $1)
ON CONFLICT (id) DO UPDATE
SET parent = excluded.parent, position = excluded.position, title = excluded.title, url = excluded.url,
    duration = excluded.duration, subtitles = excluded.subtitles
WHERE playlist_items.room = $1

-- name: remove_all
DELETE FROM playlist_items WHERE room = $1 AND id = ANY ($2::text[])

-- name: record_change
INSERT INTO playlist_changes (room, version, change, by_id, at, remove, put) VALUES ($1, $2, $3, $4, $5, $6, $7)

-- name: forget_changes
DELETE FROM playlist_changes WHERE room = $1 AND version < (
    SELECT version FROM playlist_changes WHERE room = $1 ORDER BY version DESC OFFSET $2 - 1 LIMIT 1
)

-- name: newest_change
SELECT version, change, by_id, remove, put FROM playlist_changes WHERE room = $1 ORDER BY version DESC LIMIT 1

-- name: drop_change
DELETE FROM playlist_changes WHERE room = $1 AND version = $2

-- name: plays
SELECT item, title, kind, at, revision, by_id, by_username FROM plays
WHERE room = $1 AND (at, revision) < ($2, $3)
ORDER BY at DESC, revision DESC
LIMIT $4

-- name: has_played
SELECT EXISTS (SELECT FROM plays WHERE room = $1)
