-- name: entries
SELECT id, parent, position, duration, kind FROM playlist_items WHERE room = $1;

-- name: entry
SELECT id, parent, position, duration, kind FROM playlist_items WHERE room = $1 AND id = $2;

-- name: live_delay
SELECT (settings ->> 'live_delay_ms')::integer FROM rooms WHERE id = $1;

-- name: has_room
SELECT EXISTS (SELECT FROM rooms WHERE id = $1);
