-- name: by_id
SELECT s.id, s.room, s.owner, s.title, s.key_hash, s.created_at, s.private, s.limits,
       s.private
       OR COALESCE(r.hidden OR r.password_hash IS NOT NULL OR (r.settings ->> 'approval')::boolean, false) AS restricted
FROM streams s LEFT JOIN rooms r ON r.id = s.room
WHERE s.id = $1

-- name: of_room
SELECT s.id, s.room, s.owner, s.title, s.key_hash, s.created_at, s.private, s.limits,
       s.private
       OR COALESCE(r.hidden OR r.password_hash IS NOT NULL OR (r.settings ->> 'approval')::boolean, false) AS restricted
FROM streams s LEFT JOIN rooms r ON r.id = s.room
WHERE s.room = $1
ORDER BY s.created_at, s.id

-- name: page
SELECT s.id, s.room, s.owner, s.title, s.key_hash, s.created_at, s.private, s.limits, s.private AS restricted
FROM streams s
WHERE s.id > $1
ORDER BY s.id
LIMIT $2

-- name: of_owner
SELECT s.id, s.room, s.owner, s.title, s.key_hash, s.created_at, s.private, s.limits,
       s.private
       OR COALESCE(r.hidden OR r.password_hash IS NOT NULL OR (r.settings ->> 'approval')::boolean, false) AS restricted
FROM streams s LEFT JOIN rooms r ON r.id = s.room
WHERE s.owner = $1 AND s.id > $2
ORDER BY s.id
LIMIT $3

-- name: some
SELECT s.id, s.room, s.owner, s.title, s.key_hash, s.created_at, s.private, s.limits,
       s.private
       OR COALESCE(r.hidden OR r.password_hash IS NOT NULL OR (r.settings ->> 'approval')::boolean, false) AS restricted
FROM streams s LEFT JOIN rooms r ON r.id = s.room
WHERE s.id = ANY($1::text[])

-- name: of_rooms
SELECT id, room FROM streams WHERE room = ANY($1::text[])

-- name: edit
UPDATE streams SET title = $2, private = $3, limits = $4::jsonb WHERE id = $1 RETURNING true

-- name: set_title
UPDATE streams SET title = $2 WHERE id = $1

-- name: count_of
SELECT count(*) FROM streams WHERE owner = $1

-- name: add
INSERT INTO streams (id, room, owner, title, key_hash, private, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)

-- name: set_key
UPDATE streams SET key_hash = $3 WHERE id = $1 AND key_hash = $2 RETURNING true

-- name: remove
DELETE FROM streams WHERE id = $1 RETURNING key_hash

-- name: items
SELECT id FROM playlist_items WHERE room = $1 AND stream = $2 ORDER BY id
