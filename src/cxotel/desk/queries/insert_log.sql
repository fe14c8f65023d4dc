INSERT OR IGNORE INTO log (trace_id, digest, origin, received, data) VALUES (?, ?, ?, ?, ?)
