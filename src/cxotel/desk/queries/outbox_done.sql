DELETE FROM outbox
WHERE id <= (SELECT min(place) FROM destination WHERE name IN (SELECT value FROM json_each(?)))
