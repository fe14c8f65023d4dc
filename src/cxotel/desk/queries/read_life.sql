SELECT is_call, state, life, spans, first_received, last_received, due, refused FROM call WHERE trace_id = ?
