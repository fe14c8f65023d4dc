SELECT number, at, state, verdict, spans, told FROM verdict WHERE trace_id = ? ORDER BY number
