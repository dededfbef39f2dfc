-- name: add
INSERT INTO room_invitations (code, room, created_by, created_by_username, created_at, expires_at, max_uses)
VALUES ($1, $2, $3, $4, $5, $6, $7)

-- name: count
SELECT count(*) FROM room_invitations WHERE room = $1

-- name: page
SELECT code, created_by, created_by_username, created_at, expires_at, max_uses, uses
FROM room_invitations
WHERE room = $1 AND (created_at, code) < ($2, $3)
ORDER BY created_at DESC, code DESC
LIMIT $4

-- name: find
SELECT code, created_by, created_by_username, created_at, expires_at, max_uses, uses
FROM room_invitations
WHERE room = $1 AND code = $2

-- name: lock
SELECT code, created_by, created_by_username, created_at, expires_at, max_uses, uses
FROM room_invitations
WHERE room = $1 AND code = $2
FOR UPDATE

-- name: was_used_by
SELECT EXISTS (SELECT FROM room_invitation_uses WHERE code = $1 AND user_id = $2)

-- name: note_use
INSERT INTO room_invitation_uses (code, user_id) VALUES ($1, $2)

-- name: count_use
UPDATE room_invitations SET uses = uses + 1 WHERE code = $1

-- name: remove
DELETE FROM room_invitations WHERE room = $1 AND code = $2 RETURNING true

-- name: remove_expired
DELETE FROM room_invitations WHERE room = $1 AND expires_at <= $2

-- name: remove_all_expired
DELETE FROM room_invitations WHERE expires_at <= $1

-- name: add_to_site
INSERT INTO site_invitations (hash, created_by, created_at, expires_at) VALUES ($1, $2, $3, $4)

-- name: page_of_site
SELECT encode(i.hash, 'hex') AS id, i.created_at, i.expires_at, i.used_at,
    i.created_by, coalesce(maker.username, i.created_by) AS created_by_username,
    i.used_by, coalesce(comer.username, i.used_by) AS used_by_username
FROM site_invitations i
LEFT JOIN users maker ON maker.id = i.created_by
LEFT JOIN users comer ON comer.id = i.used_by
WHERE (i.created_at, encode(i.hash, 'hex')) < ($1, $2)
ORDER BY i.created_at DESC, encode(i.hash, 'hex') DESC
LIMIT $3

-- name: remove_of_site
DELETE FROM site_invitations WHERE hash = $1 AND used_at IS NULL RETURNING true

-- name: is_of_site
SELECT EXISTS (SELECT FROM site_invitations WHERE hash = $1)

-- name: use_of_site
UPDATE site_invitations SET used_by = $2, used_at = $3
WHERE hash = $1 AND used_at IS NULL AND (expires_at IS NULL OR expires_at > $3)
RETURNING true

-- name: is_good_for_site
SELECT EXISTS (
    SELECT FROM site_invitations WHERE hash = $1 AND used_at IS NULL AND (expires_at IS NULL OR expires_at > $2)
)

-- name: remove_expired_of_site
DELETE FROM site_invitations WHERE used_at IS NULL AND expires_at <= $1
