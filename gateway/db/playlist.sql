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

-- name: positions
SELECT id, position FROM playlist_items WHERE room = $1 ORDER BY position, id

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
