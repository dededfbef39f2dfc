-- name: add
INSERT INTO outbox (id, subject, stream, body, traceparent) VALUES ($1, $2, $3, $4, $5)

-- name: any
SELECT EXISTS (SELECT FROM outbox)

-- name: oldest
SELECT number, id, subject, stream, body, traceparent FROM outbox ORDER BY number LIMIT $1

-- name: delete
DELETE FROM outbox WHERE number = ANY ($1::bigint[])
