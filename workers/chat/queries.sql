-- name: add
INSERT INTO messages (id, room, user_id, username, text, client_id, reply_to, at)
SELECT $1, $2, $3, $4, $5, $6, (SELECT id FROM messages WHERE room = $2 AND id = $7 AND NOT deleted), $8
ON CONFLICT (room, user_id, client_id) DO NOTHING
RETURNING id, user_id, username, text, at, reply_to, number, posted;

-- name: sent_before
SELECT id, user_id, username, text, at, reply_to, number, posted
FROM messages WHERE room = $1 AND user_id = $2 AND client_id = $3;

-- name: release_client_id
UPDATE messages SET client_id = id WHERE room = $1 AND user_id = $2 AND client_id = $3 AND at < $4;

-- name: mark_posted
UPDATE messages SET posted = true WHERE id = $1;

-- name: prune
DELETE FROM messages
WHERE room = $1 AND at < $2 AND number < (
    SELECT min(number) FROM (
        SELECT number FROM messages WHERE room = $1 AND NOT deleted ORDER BY number DESC LIMIT $3
    ) AS kept
);

-- name: remove
UPDATE messages SET deleted = true, text = '' WHERE room = $1 AND id = $2 RETURNING true;
