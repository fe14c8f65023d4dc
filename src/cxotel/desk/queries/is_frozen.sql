SELECT 1 FROM call WHERE trace_id = ? AND frozen = 1
