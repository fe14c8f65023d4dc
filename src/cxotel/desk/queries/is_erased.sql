SELECT 1 FROM erased WHERE trace_id = ?
