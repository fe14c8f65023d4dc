DELETE FROM call_key WHERE trace_id = ?
