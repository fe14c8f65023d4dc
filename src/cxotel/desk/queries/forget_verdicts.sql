DELETE FROM verdict WHERE trace_id = ?
