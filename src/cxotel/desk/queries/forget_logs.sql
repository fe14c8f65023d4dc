DELETE FROM log WHERE id IN (SELECT id FROM log WHERE trace_id = ? LIMIT ?)
