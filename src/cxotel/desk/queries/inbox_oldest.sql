SELECT received FROM inbox ORDER BY id LIMIT 1
