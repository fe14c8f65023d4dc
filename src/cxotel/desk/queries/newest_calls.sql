SELECT trace_id, state, summary FROM call WHERE is_call AND last_received >= ? ORDER BY last_received DESC LIMIT ?
