DELETE FROM metric WHERE id IN (SELECT id FROM metric ORDER BY id LIMIT ?) AND received < ?
