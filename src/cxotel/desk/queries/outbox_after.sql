SELECT id, signal, data, '' FROM outbox WHERE id > ? ORDER BY id LIMIT ?
