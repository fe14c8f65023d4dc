SELECT number, state, verdict FROM verdict WHERE trace_id = ? ORDER BY number DESC LIMIT 1
