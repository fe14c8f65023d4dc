SELECT id, received, signal, data, spoiled FROM inbox ORDER BY id LIMIT ?
