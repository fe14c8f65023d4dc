-- Of each destination: what waits, its bytes, when the oldest of it was made, and what went and what was given up.
SELECT name, count(outbox.id), coalesce(sum(length(data)), 0), min(made), sent, dropped
FROM destination LEFT JOIN outbox ON outbox.id > destination.place GROUP BY name
