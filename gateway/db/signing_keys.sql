-- name: all
SELECT kid, private_pem FROM signing_keys ORDER BY created_at DESC, kid

-- name: add_first
INSERT INTO signing_keys (kid, private_pem, created_at)
SELECT $1, $2, $3 WHERE NOT EXISTS (SELECT FROM signing_keys)
