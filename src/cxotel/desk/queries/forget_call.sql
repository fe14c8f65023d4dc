DELETE FROM call WHERE trace_id = ?
