-- name: by_id
SELECT r.id AS room_id, r.name AS room_name, r.hidden, r.password_hash, r.password_hash IS NOT NULL AS has_password,
       r.creator_id, c.username AS creator_username, r.settings, r.created_at AS room_created_at
FROM rooms r JOIN users c ON c.id = r.creator_id
WHERE r.id = $1

-- name: lock
SELECT r.id AS room_id, r.name AS room_name, r.hidden, r.password_hash IS NOT NULL AS has_password,
       r.creator_id, c.username AS creator_username, r.settings, r.created_at AS room_created_at
FROM rooms r JOIN users c ON c.id = r.creator_id
WHERE r.id = $1
FOR UPDATE OF r

-- name: add
INSERT INTO rooms (id, name, hidden, password_hash, creator_id, settings, created_at, active_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $7)

-- name: change
UPDATE rooms SET name = $2, hidden = $3, settings = $4 WHERE id = $1

-- name: set_password
UPDATE rooms SET password_hash = $2 WHERE id = $1

-- name: remove
DELETE FROM rooms WHERE id = $1 RETURNING true

-- name: page
SELECT r.id AS room_id, r.name AS room_name, r.hidden, r.password_hash IS NOT NULL AS has_password,
       r.creator_id, c.username AS creator_username, r.settings, r.created_at AS room_created_at
FROM rooms r JOIN users c ON c.id = r.creator_id
WHERE NOT r.hidden AND r.name ILIKE $1 AND (r.created_at, r.id) < ($2, $3)
ORDER BY r.created_at DESC, r.id DESC
LIMIT $4

-- name: page_of
SELECT r.id AS room_id, r.name AS room_name, r.hidden, r.password_hash IS NOT NULL AS has_password,
       r.creator_id, c.username AS creator_username, r.settings, r.created_at AS room_created_at
FROM members m JOIN rooms r ON r.id = m.room JOIN users c ON c.id = r.creator_id
WHERE m.user_id = $1 AND m.state = 'active' AND (r.created_at, r.id) < ($2, $3)
ORDER BY r.created_at DESC, r.id DESC
LIMIT $4

-- name: created_by
SELECT id FROM rooms WHERE creator_id = $1 ORDER BY id

-- name: stream_keys
SELECT id, key_hash FROM streams WHERE room = $1 ORDER BY id

-- name: hand_over
UPDATE rooms SET creator_id = $2 WHERE id = $1

-- name: touch
UPDATE rooms SET active_at = $2 WHERE id = ANY ($1::text[]) AND active_at < $3

-- name: idle
SELECT r.id FROM rooms r
WHERE r.active_at < $1
  AND NOT EXISTS (SELECT FROM members m WHERE m.room = r.id AND m.joined_at >= $1)
  AND NOT EXISTS (SELECT FROM messages m WHERE m.room = r.id AND m.at >= $1)
  AND NOT EXISTS (SELECT FROM plays p WHERE p.room = r.id AND p.at >= $1)
  AND NOT EXISTS (SELECT FROM playlist_changes c WHERE c.room = r.id AND c.at >= $1)
  AND NOT EXISTS (SELECT FROM streams s WHERE s.room = r.id AND s.created_at >= $1)
ORDER BY r.active_at, r.id
LIMIT $2
