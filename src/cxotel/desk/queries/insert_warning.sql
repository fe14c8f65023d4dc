INSERT OR IGNORE INTO warning (trace_id, layer, at, message, spans) VALUES (?, ?, ?, ?, ?)
