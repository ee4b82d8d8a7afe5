-- Constants, settings and rejected rows.

-- name: metaValue :one
SELECT value FROM meta WHERE name = ?;

-- name: insertMeta :exec
INSERT INTO meta (name, value) VALUES (?, ?);

-- name: probe :exec
-- A row that nobody reads, of so many bytes and some that are other each time:
-- what changes nothing is not written.
INSERT INTO meta (name, value) VALUES ('probe', hex(randomblob(16)) || hex(zeroblob(CAST(sqlc.arg(bytes) AS INTEGER) / 2)))
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: versionOf :one
SELECT number FROM scoring_versions WHERE publishing = ?;

-- name: insertVersion :one
INSERT INTO scoring_versions (publishing, created_at, who) VALUES (?, ?, ?) RETURNING number;

-- name: publishingOf :one
SELECT publishing FROM scoring_versions WHERE number = ?;

-- name: settingValue :one
SELECT value FROM settings WHERE name = ?;

-- name: putSetting :exec
INSERT INTO settings (name, value, changed_at) VALUES (?, ?, ?)
ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed_at = excluded.changed_at;

-- name: insertSettingChange :exec
INSERT INTO settings_audit (at, who, name, from_value, to_value, why) VALUES (?, ?, ?, ?, ?, ?);

-- name: allSettings :many
SELECT name, value FROM settings;

-- name: latestSettingChanges :many
SELECT * FROM settings_audit ORDER BY number DESC LIMIT ?;

-- name: putReject :exec
INSERT INTO rejects (source, line, "row", code, detail, raw, at) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (source, line, "row") DO UPDATE SET
    code = excluded.code, detail = excluded.detail, raw = excluded.raw, at = excluded.at;

-- name: rejectsOf :many
SELECT * FROM rejects WHERE source = ? ORDER BY line, "row";
