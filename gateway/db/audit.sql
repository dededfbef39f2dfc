-- name: add
INSERT INTO audit (id, at, actor, act, target, address, detail) VALUES ($1, $2, $3, $4, $5, $6, $7)
