-- The last row that has to go so that the rest is within a limit.
SELECT id FROM (SELECT id, sum(length(data)) OVER (ORDER BY id DESC) AS with_newer FROM outbox)
WHERE with_newer > ? ORDER BY id DESC LIMIT 1
