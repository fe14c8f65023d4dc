INSERT OR REPLACE INTO verdict (trace_id, number, at, state, verdict, spans, told) VALUES (?, ?, ?, ?, ?, ?, ?)
