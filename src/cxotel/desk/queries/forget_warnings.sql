DELETE FROM warning WHERE trace_id = ?
