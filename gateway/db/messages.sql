-- name: page
SELECT id, user_id, username, text, at, reply_to
FROM messages
WHERE room = $1 AND NOT deleted AND number < coalesce($2, 9223372036854775807)
ORDER BY number DESC
LIMIT $3

-- name: number_of
SELECT number FROM messages WHERE room = $1 AND id = $2
