-- name: by_id
SELECT id, username, role, state, guest FROM users WHERE id = $1

-- name: lock
SELECT id, username, role, state, guest FROM users WHERE id = $1 FOR NO KEY UPDATE

-- name: by_name
SELECT id, username, role, state, guest, password_hash FROM users WHERE username_key = $1

-- name: password_hash
SELECT password_hash FROM users WHERE id = $1

-- name: add
INSERT INTO users (id, username, username_key, email, password_hash, role, guest, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (username_key) DO NOTHING
RETURNING id

-- name: rename
UPDATE users SET username = $2, username_key = $3 WHERE id = $1

-- name: set_email
UPDATE users SET email = $2 WHERE id = $1

-- name: set_password
UPDATE users SET password_hash = $2 WHERE id = $1

-- name: remove
DELETE FROM users WHERE id = $1

-- name: stream_keys
SELECT s.id, s.key_hash FROM streams s LEFT JOIN rooms r ON r.id = s.room
WHERE s.owner = $1 OR r.creator_id = $1
ORDER BY s.id

-- name: add_refresh
INSERT INTO refresh_tokens (hash, family, user_id, issued_at, expires_at) VALUES ($1, $2, $3, $4, $5)

-- name: lock_refresh
SELECT family, user_id, expires_at, used_at FROM refresh_tokens WHERE hash = $1 FOR UPDATE

-- name: use_refresh
UPDATE refresh_tokens SET used_at = $2 WHERE hash = $1

-- name: remove_family
DELETE FROM refresh_tokens WHERE family = $1

-- name: families
SELECT DISTINCT family FROM refresh_tokens WHERE user_id = $1

-- name: remove_expired_refresh
DELETE FROM refresh_tokens WHERE expires_at < $1

-- name: remove_guests
DELETE FROM users WHERE guest AND created_at < $1
