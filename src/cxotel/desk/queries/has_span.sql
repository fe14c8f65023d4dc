SELECT 1 FROM span WHERE trace_id = ? AND digest = ?
