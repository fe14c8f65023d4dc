DELETE FROM span WHERE id IN (SELECT id FROM span WHERE trace_id = ? LIMIT ?)
