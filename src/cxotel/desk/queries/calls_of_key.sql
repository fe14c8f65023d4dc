SELECT trace_id FROM call_key WHERE key = ? LIMIT ?
