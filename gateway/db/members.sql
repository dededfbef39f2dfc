-- name: find
SELECT m.user_id, m.role, m.state, m.added, m.removed, m.joined_at,
       u.username, u.role AS site_role, u.state AS site_state, u.guest,
       r.id AS room_id, r.name AS room_name, r.hidden, r.password_hash IS NOT NULL AS has_password,
       r.creator_id, c.username AS creator_username, r.settings, r.created_at AS room_created_at
FROM members m JOIN users u ON u.id = m.user_id JOIN rooms r ON r.id = m.room JOIN users c ON c.id = r.creator_id
WHERE m.room = $1 AND m.user_id = $2

-- name: lock
SELECT m.user_id, m.role, m.state, m.added, m.removed, m.joined_at,
       u.username, u.role AS site_role, u.state AS site_state, u.guest,
       r.id AS room_id, r.name AS room_name, r.hidden, r.password_hash IS NOT NULL AS has_password,
       r.creator_id, c.username AS creator_username, r.settings, r.created_at AS room_created_at
FROM members m JOIN users u ON u.id = m.user_id JOIN rooms r ON r.id = m.room JOIN users c ON c.id = r.creator_id
WHERE m.room = $1 AND m.user_id = $2
FOR UPDATE OF m

-- name: page
SELECT m.user_id, m.role, m.state, m.added, m.removed, m.joined_at,
       u.username, u.role AS site_role, u.state AS site_state, u.guest,
       r.id AS room_id, r.name AS room_name, r.hidden, r.password_hash IS NOT NULL AS has_password,
       r.creator_id, c.username AS creator_username, r.settings, r.created_at AS room_created_at
FROM members m JOIN users u ON u.id = m.user_id JOIN rooms r ON r.id = m.room JOIN users c ON c.id = r.creator_id
WHERE m.room = $1 AND m.state = ANY ($5::text[]) AND (m.joined_at, m.user_id) > ($2, $3)
ORDER BY m.joined_at, m.user_id
LIMIT $4

-- name: some
SELECT m.user_id, m.role, m.state, m.added, m.removed, m.joined_at,
       u.username, u.role AS site_role, u.state AS site_state, u.guest,
       r.id AS room_id, r.name AS room_name, r.hidden, r.password_hash IS NOT NULL AS has_password,
       r.creator_id, c.username AS creator_username, r.settings, r.created_at AS room_created_at
FROM members m JOIN users u ON u.id = m.user_id JOIN rooms r ON r.id = m.room JOIN users c ON c.id = r.creator_id
WHERE m.room = $1 AND m.user_id = ANY($2)
ORDER BY m.joined_at, m.user_id

-- name: guests
SELECT m.user_id, m.role, m.state, m.added, m.removed, m.joined_at,
       u.username, u.role AS site_role, u.state AS site_state, u.guest,
       r.id AS room_id, r.name AS room_name, r.hidden, r.password_hash IS NOT NULL AS has_password,
       r.creator_id, c.username AS creator_username, r.settings, r.created_at AS room_created_at
FROM members m JOIN users u ON u.id = m.user_id JOIN rooms r ON r.id = m.room JOIN users c ON c.id = r.creator_id
WHERE m.room = $1 AND m.role = 'guest' AND m.state <> 'banned'
ORDER BY m.joined_at, m.user_id

-- name: count
SELECT count(*) FROM members WHERE room = $1 AND state = $2

-- name: add
INSERT INTO members (room, user_id, role, joined_at, state) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING
RETURNING true

-- name: let_in
UPDATE members SET state = 'active' WHERE room = $1 AND user_id = ANY (
    SELECT user_id FROM members WHERE room = $1 AND state = 'pending' ORDER BY joined_at, user_id LIMIT $2
)
RETURNING user_id

-- name: shut_out
INSERT INTO room_kicks (room, user_id, until) VALUES ($1, $2, $3)
ON CONFLICT (room, user_id) DO UPDATE SET until = excluded.until

-- name: shut_out_until
SELECT until FROM room_kicks WHERE room = $1 AND user_id = $2

-- name: forget_shut_out
DELETE FROM room_kicks WHERE until <= $1

-- name: change
UPDATE members SET role = $3, state = $4, added = $5, removed = $6 WHERE room = $1 AND user_id = $2

-- name: remove
DELETE FROM members WHERE room = $1 AND user_id = $2 RETURNING true

-- name: of_user
SELECT m.user_id, m.role, m.state, m.added, m.removed, m.joined_at,
       u.username, u.role AS site_role, u.state AS site_state, u.guest,
       r.id AS room_id, r.name AS room_name, r.hidden, r.password_hash IS NOT NULL AS has_password,
       r.creator_id, c.username AS creator_username, r.settings, r.created_at AS room_created_at
FROM members m JOIN users u ON u.id = m.user_id JOIN rooms r ON r.id = m.room JOIN users c ON c.id = r.creator_id
WHERE m.user_id = $1
ORDER BY m.room
