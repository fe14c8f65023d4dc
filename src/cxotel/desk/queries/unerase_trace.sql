DELETE FROM erased WHERE trace_id = ?
