SELECT id, signal, data, spoiled FROM inbox WHERE id > ? ORDER BY id LIMIT ?
