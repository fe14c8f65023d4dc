SELECT number, at, state, verdict, spans FROM verdict WHERE trace_id = ? ORDER BY number
