SELECT id, signal, items, length(data) FROM outbox
WHERE id > (SELECT place FROM destination WHERE name = ?) ORDER BY id LIMIT ?
